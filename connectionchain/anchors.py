"""The log's checkpoints on the chains, as contracts/src/Anchor.sol has them: what the log itself signed counts, whoever
posted it.
"""

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from connectionchain.onchain import logs
from connectionchain.rpc import Rpc
from connectionchain.tlog.checkpoint import Checkpoint, open_checkpoint
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note

ANCHORED = "0x" + keccak(text="Anchored(bytes32,bytes)").hex()
BLOCKS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Posted:
    """A checkpoint in a transaction of the block with this hash."""

    checkpoint: Checkpoint
    transaction: str
    block: str


def content(note: Note, log: Key) -> str:
    """What is posted of a checkpoint: it and the log's own signature. The witnesses' would only cost."""
    own = (each for each in note.signatures if (each.name, each.key_id) == (log.name, log.id))
    return str(Note(note.text, tuple(own)))


def digest(posted: str) -> str:
    """By which the contract's event can be looked for."""
    return "0x" + keccak(text=posted).hex()


def opened(posted: bytes, log: Key) -> Checkpoint:
    """Raises BadProof unless it is a checkpoint that this log signed."""
    try:
        note = Note.parse(posted.decode())
    except UnicodeDecodeError:
        raise BadProof("carries no checkpoint", field="transaction") from None
    return open_checkpoint(note, log.name, [log])


async def posted(rpc: Rpc, contract: str, log: Key, first: int, last: int) -> list[Posted]:
    """This log's checkpoints in these blocks, oldest first."""
    found = await logs(rpc, contract, [ANCHORED], first, last)
    return [each for each in (_posted(event, log) for event in found) if each]


async def newest(rpc: Rpc, contract: str, log: Key) -> Posted | None:
    """The last of this log's checkpoints in a final block; None if none was posted since the escrow is there."""
    last = (await rpc.final_block()).number
    while last >= rpc.chain.escrow_block:
        first = max(rpc.chain.escrow_block, last - BLOCKS_AT_ONCE + 1)
        if found := await posted(rpc, contract, log, first, last):
            return found[-1]
        last = first - 1
    return None


def _posted(event: Any, log: Key) -> Posted | None:
    try:
        (text,) = decode(["bytes"], bytes.fromhex(event["data"][2:]))
        return Posted(opened(text, log), event["transactionHash"], event["blockHash"])
    except (BadProof, DecodingError):
        return None
