"""An attestor as a witness: it cosigns a log's checkpoint only if that extends the last one it saw.

What it saw is kept in its own database, so a log rewritten by its operator meets somebody who remembers.
Source: c2sp.org/tlog-witness, add-checkpoint.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Column, LargeBinary
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.tlog import lines, merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.cosignature import Cosigner
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note, Signature
from ledger.database import Database
from ledger.evidence import BIG

MOST_PROOF_LINES = 63
LARGEST_REQUEST = 64 * 1024
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"
log = structlog.get_logger()


class Witnessed(SQLModel, table=True):
    """The newest checkpoint this witness cosigned, per log."""

    __tablename__ = "witnessed"

    origin_hash: str = Field(primary_key=True)
    origin: str
    size: int = Field(default=0, sa_column=Column(BIG, nullable=False))
    root: bytes = Field(default=merkle.EMPTY_ROOT, sa_column=Column(LargeBinary, nullable=False))
    note: str = ""


class SplitView(SQLModel, table=True):
    """Two checkpoints of one size with different roots, both signed by the log: proof that it lied."""

    __tablename__ = "split_view"

    origin: str = Field(primary_key=True)
    size: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    seen: str
    shown: str


@dataclass(frozen=True)
class Answer:
    """What the witness says, in HTTP's terms."""

    status: int
    body: str
    content_type: str = TEXT


class _Refusal(Exception):
    def __init__(self, status: int, message: str, content_type: str = TEXT) -> None:
        super().__init__(message)
        self.answer = Answer(status, f"{message}\n", content_type)


class Witness:
    """Cosigns for the logs with these keys; a key's name is its log's origin. `database` is the attestor's own."""

    def __init__(
        self, database: Database, signer: Cosigner, logs: Sequence[Key], clock: Callable[[], float] = time.time
    ) -> None:
        self._database, self._signer, self._clock = database, signer, clock
        self._logs = {origin: [key for key in logs if key.name == origin] for origin in (key.name for key in logs)}
        self.key = signer.key

    async def add_checkpoint(self, request: str) -> Answer:
        """Answers a request body: 200 with the cosignature line, or 400, 403, 404, 409, 422 with the reason."""
        try:
            old_size, proof, note = _parse(request)
            checkpoint = self._open(note)
            if old_size > checkpoint.size:
                raise _Refusal(400, f"the old size {old_size} is larger than the checkpoint's {checkpoint.size}")
            return await self._cosign(old_size, proof, note, checkpoint)
        except _Refusal as refusal:
            return refusal.answer
        except IntegrityError:  # another first request for this log was quicker
            return await self.add_checkpoint(request)

    async def checkpoint(self, origin_hash: str) -> str | None:
        """The newest cosigned checkpoint of the log whose origin has this SHA-256, in lower-case hex."""
        async with self._database.read() as session:
            seen = await session.get(Witnessed, origin_hash)
        return (seen and seen.note) or None

    async def split_views(self) -> list[SplitView]:
        """Every lie seen so far."""
        async with self._database.read() as session:
            return list(await session.exec(select(SplitView).order_by(col(SplitView.size))))

    def _open(self, note: Note) -> Checkpoint:
        try:
            checkpoint = Checkpoint.parse(note.text)
        except BadProof as error:
            raise _Refusal(400, str(error)) from None
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            raise _Refusal(404, f"the log {checkpoint.origin} is not known here")
        try:
            signed = note.signed_by(keys)
        except BadProof as error:
            raise _Refusal(403, str(error)) from None
        if not signed:
            raise _Refusal(403, f"not signed by the log {checkpoint.origin}")
        return checkpoint

    async def _cosign(self, old_size: int, proof: list[bytes], note: Note, checkpoint: Checkpoint) -> Answer:
        """Checks against what was seen and remembers, in one transaction; only then the cosignature leaves."""
        async with self._database.write() as session:
            seen = await _seen(session, checkpoint.origin)
            if old_size != seen.size:
                raise _Refusal(409, str(seen.size), SIZE)
            refusal = _inconsistency(seen, checkpoint, proof)
            if refusal is None:
                signature = self._signer.cosign(note.text, int(self._clock()))
                seen.size, seen.root = checkpoint.size, checkpoint.root
                seen.note = str(Note(note.text, (*self._of_log(note, checkpoint.origin), signature)))
                session.add(seen)
                return Answer(200, str(signature))
            await _alarm(session, seen, checkpoint, note)
        raise refusal

    def _of_log(self, note: Note, origin: str) -> list[Signature]:
        known = {(key.name, key.id) for key in self._logs[origin]}
        return [each for each in note.signatures if (each.name, each.key_id) in known]


def request(old_size: int, proof: Sequence[bytes], note: Note) -> str:
    """The request body a log sends."""
    return "".join([f"old {old_size}\n", *(f"{lines.encode(hash_)}\n" for hash_ in proof), "\n", str(note)])


def origin_hash(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _parse(body: str) -> tuple[int, list[bytes], Note]:
    if len(body) > LARGEST_REQUEST:
        raise _Refusal(400, f"the request is longer than {LARGEST_REQUEST} characters")
    head, _, note = body.partition("\n\n")
    rows = head.split("\n")
    try:
        if not rows[0].startswith("old ") or len(rows) > 1 + MOST_PROOF_LINES:
            raise BadProof(f"is not `old SIZE` and at most {MOST_PROOF_LINES} hashes", field="request")
        old_size = lines.decimal(rows[0][4:], "old size")
        return old_size, [lines.decode_hash(row, "consistency proof") for row in rows[1:]], Note.parse(note)
    except BadProof as error:
        raise _Refusal(400, str(error)) from None


async def _seen(session: AsyncSession, origin: str) -> Witnessed:
    """What was cosigned last, its row locked. Of two first requests the second fails to insert it."""
    seen = await session.get(Witnessed, origin_hash(origin), with_for_update=True)
    if seen is None:
        seen = Witnessed(origin_hash=origin_hash(origin), origin=origin)
        session.add(seen)
        await session.flush()
    return seen


def _inconsistency(seen: Witnessed, checkpoint: Checkpoint, proof: list[bytes]) -> _Refusal | None:
    try:
        merkle.verify_consistency(seen.size, seen.root, checkpoint.size, checkpoint.root, proof)
    except BadProof as error:
        return _Refusal(422, str(error))
    return None


async def _alarm(session: AsyncSession, seen: Witnessed, checkpoint: Checkpoint, note: Note) -> None:
    """Anybody may send a wrong proof; only the log's key can make two trees of one size."""
    log.error("inconsistent checkpoint refused", origin=seen.origin, seen=seen.size, shown=checkpoint.size)
    if (checkpoint.size, bool(seen.note)) == (seen.size, True) and checkpoint.root != seen.root:
        log.critical("the log shows a split view", origin=seen.origin, size=seen.size)
        if await session.get(SplitView, (seen.origin, seen.size)) is None:
            session.add(SplitView(origin=seen.origin, size=seen.size, seen=seen.note, shown=str(note)))
