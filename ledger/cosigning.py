"""The log's side of witnessing: shows the newest checkpoint to every witness and keeps who agreed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from connectionchain.errors import Unavailable
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.cosignature import WitnessKey
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Note, Signature
from ledger.log import Log
from ledger.witness import Answer, request

PROMPT_SECONDS = 0.4
log = structlog.get_logger()


@dataclass
class WitnessLink:
    """A way to one witness: `add_checkpoint` takes a request body. `size` is what it last cosigned, as far as known."""

    key: WitnessKey
    add_checkpoint: Callable[[str], Awaitable[Answer]]
    size: int = field(default=0)


async def cosign(evidence: Log, witnesses: Sequence[WitnessLink], quorum: int) -> Note | None:
    """The newest checkpoint with the cosignatures of the witnesses that agree; kept by the log and returned if they
    are a quorum, else None."""
    note = await evidence.checkpoint(witnessed=False)
    if note is None:
        return None
    signatures = await _agreeing([asyncio.create_task(_ask(evidence, witness, note)) for witness in witnesses], quorum)
    if len(signatures) < quorum:
        log.warning("checkpoint lacks witnesses", cosigned=len(signatures), quorum=quorum)
        return None
    return await evidence.add_cosignatures(note, signatures)


async def _agreeing(asked: list[asyncio.Task[Signature | None]], quorum: int) -> list[Signature]:
    """What came within PROMPT_SECONDS; all that comes at all if that is no quorum. Nobody waits for a witness that
    hangs while the others are enough."""
    late: set[asyncio.Task[Signature | None]] = set(asked)
    for patience in (PROMPT_SECONDS, None):
        if late:
            _, late = await asyncio.wait(late, timeout=patience)
        signatures = [signature for each in asked if each not in late and (signature := each.result())]
        if len(signatures) >= quorum:
            break
    for each in late:
        each.cancel()
    return signatures


async def _ask(evidence: Log, witness: WitnessLink, note: Note) -> Signature | None:
    try:
        answer = await _add(evidence, witness, note)
        if answer.status == 409:  # the witness knows better which size it saw last
            witness.size = int(answer.body)
            if witness.size > Checkpoint.parse(note.text).size:
                log.critical("the log lost records that a witness saw", witness=witness.key.name, seen=witness.size)
                return None
            answer = await _add(evidence, witness, note)
        if answer.status == 200:
            witness.size = Checkpoint.parse(note.text).size
            return _own(witness.key, note, answer.body)
        log.error("a witness refuses", witness=witness.key.name, status=answer.status, reason=answer.body.strip())
    except (Unavailable, OSError, ValueError, BadProof) as error:
        log.warning("a witness does not answer", witness=witness.key.name, error=str(error))
    return None


async def _add(evidence: Log, witness: WitnessLink, note: Note) -> Answer:
    proof = await evidence.consistency(witness.size, Checkpoint.parse(note.text).size)
    return await witness.add_checkpoint(request(witness.size, proof, note))


def _own(key: WitnessKey, note: Note, body: str) -> Signature:
    """This witness's signature among the answered lines, verified."""
    for signature in map(Signature.parse, body.removesuffix("\n").split("\n")):
        if (signature.name, signature.key_id) == (key.name, key.id):
            key.verify(note.text, signature)
            return signature
    raise BadProof("answered without its own signature", field=key.name)
