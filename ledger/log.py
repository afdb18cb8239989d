"""The evidence log: a sequencer gives pending records their places in the tree, then signs what is stored.

Two transactions, each safe to lose: `integrate` moves records and grows the tree, `publish` signs a tree that is
committed. The head's row is locked by both, so there is one order of records, one tree, and never a fork.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Column, LargeBinary, delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlmodel import Field, SQLModel, col, select

from connectionchain.errors import ConnectionChainError, InvalidInput, Unavailable
from connectionchain.evidence import EvidenceRecord
from connectionchain.export import LoggedRecord
from connectionchain.tlog import merkle, tiles
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.note import Note, Signature, Signer
from connectionchain.tlog.proof import LogProof, prove
from connectionchain.tlog.tiles import TilePath
from ledger.database import Database
from ledger.evidence import BIG, EvidenceEntry, PendingEntry, event, records
from ledger.tiles import TileStore

BATCH = 4096
T = TypeVar("T")


class Forked(ConnectionChainError):
    """The stored tiles no longer make the tree that was recorded: somebody changed the database. Nothing is signed."""


class LogHead(SQLModel, table=True):
    """The tree as it is stored; `signed` is the newest checkpoint, `witnessed` the newest with cosignatures."""

    __tablename__ = "log_head"

    origin: str = Field(primary_key=True)
    size: int = Field(default=0, sa_column=Column(BIG, nullable=False))
    root: bytes = Field(default=merkle.EMPTY_ROOT, sa_column=Column(LargeBinary, nullable=False))
    signed: str = ""
    witnessed: str = ""


class Log:
    """The log in `database`. Its origin is the name of `signer`'s key. Any number of processes may run one."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database, self._signer = database, signer
        self.key = signer.key
        self.origin = signer.key.name

    async def create(self) -> None:
        """Makes the empty log unless it exists. InvalidInput if the database holds another log."""
        try:
            await self._create()
        except IntegrityError:  # another process was quicker
            await self._create()

    async def advance(self) -> Note | None:
        """Integrates everything that is pending and publishes; None if there was nothing."""
        if not await self._behind():
            return None
        while await self.integrate() == BATCH:
            pass
        return await self.publish()

    async def integrate(self, limit: int = BATCH) -> int:
        """Gives up to `limit` pending records their places; returns how many rows it took from the pending ones."""
        async with self._database.write() as session:
            return await session.run_sync(lambda sync: self._integrate(sync, limit))

    async def publish(self) -> Note:
        """The checkpoint of the committed tree, signed. Signing the same tree again gives the same note."""
        async with self._database.write() as session:
            return await session.run_sync(self._publish)

    async def add_cosignatures(self, checkpoint: Note, signatures: list[Signature]) -> Note:
        """Keeps `checkpoint` with the witnesses' signatures if it is the newest that has any."""
        note = checkpoint.with_signatures(*signatures)
        async with self._database.write() as session:
            head = await session.run_sync(self._head)
            if not head.witnessed or _size(head.witnessed) <= _size(str(note)):
                head.witnessed = str(note)
                session.add(head)
        return note

    async def checkpoint(self, *, witnessed: bool = True) -> Note | None:
        """The newest checkpoint: with witnesses' cosignatures, or simply the newest one. None before the first."""
        async with self._database.read() as session:
            head = await session.get(LogHead, self.origin)
        text = head and (head.witnessed if witnessed else head.signed)
        return Note.parse(text) if text else None

    async def tile(self, path: TilePath) -> bytes | None:
        """What is served at `path`; None if the tree has no such tile yet."""
        return await self._read(lambda session: self._tile(session, path))

    async def consistency(self, old_size: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` extends that of `old_size`. Raises BadProof if there is none."""
        return await self._read(lambda session: merkle.consistency_proof(old_size, size, TileStore(session).tree))

    async def prove(self, record: EvidenceRecord, checkpoint: Note) -> LogProof:
        """The proof that `record` is under `checkpoint`. Unavailable if it is not yet."""
        return await self._read(lambda session: self._prove(session, record, checkpoint))

    async def export(self, deal: str) -> tuple[LoggedRecord, ...]:
        """All records of a deal with their proofs under the newest witnessed checkpoint, in the log's order.
        Unavailable while one of them is not under it."""
        async with self._database.read() as session:
            found = await records(session, deal)
        checkpoint = await self.checkpoint()
        if checkpoint is None:
            raise Unavailable("no checkpoint is witnessed yet", field="evidence", remedy="try again in a second")
        return tuple([LoggedRecord(record=each, proof=str(await self.prove(each, checkpoint))) for each in found])

    async def _create(self) -> None:
        async with self._database.write() as session:
            heads = (await session.exec(select(LogHead.origin))).all()
            if any(origin != self.origin for origin in heads):
                raise InvalidInput(
                    f"the database holds the log {heads[0]}, not {self.origin}",
                    field="origin",
                    remedy="use the key's own database",
                )
            if not heads:
                session.add(LogHead(origin=self.origin))

    async def positions(self, deal: str) -> list[int]:
        """Where the records of a deal are in the log."""
        mine = select(EvidenceEntry.position).where(EvidenceEntry.deal == bytes.fromhex(deal[2:]))
        async with self._database.read() as session:
            return list(await session.exec(mine.order_by(col(EvidenceEntry.position))))

    async def _behind(self) -> bool:
        async with self._database.read() as session:
            pending = (await session.exec(select(PendingEntry.id).limit(1))).first()
            head = await session.get(LogHead, self.origin)
        return pending is not None or head is None or not head.signed or _size(head.signed) < head.size

    async def _read(self, work: Callable[[Session], T]) -> T:
        async with self._database.read() as session:
            return await session.run_sync(work)

    def _head(self, session: Session) -> LogHead:
        head = session.get(LogHead, self.origin, with_for_update=True)
        if head is None:
            raise Unavailable(f"there is no log {self.origin} yet", field="origin", remedy="create it first")
        return head

    def _integrate(self, session: Session, limit: int) -> int:
        head, store = self._head(session), TileStore(session)
        taken = session.execute(_pending(limit)).all()
        fresh = [row for row in taken if row.position is None]
        if merkle.root(head.size, store.tree) != head.root:
            raise Forked(f"the tiles do not make the root of {head.size} records", field=self.origin)
        if fresh:
            columns = enumerate(fresh, head.size)
            rows = [{"position": n, "event": row.event, "deal": row.deal, "body": row.body} for n, row in columns]
            session.connection().execute(_INSERT, rows)
            head.root = store.grow(head.size, [merkle.leaf_hash(row.body.encode()) for row in fresh])
            head.size += len(fresh)
        session.execute(delete(PendingEntry).where(col(PendingEntry.id).in_([row.id for row in taken])))
        return len(taken)

    def _publish(self, session: Session) -> Note:
        head = self._head(session)
        if head.signed and _size(head.signed) == head.size:
            return Note.parse(head.signed)
        note = self._signer.sign(str(Checkpoint(self.origin, head.size, head.root)))
        head.signed = str(note)
        return note

    def _tile(self, session: Session, path: TilePath) -> bytes | None:
        if path.level == "entries":
            return self._entries(session, path.index * tiles.WIDTH, path.width)
        stored = TileStore(session).read(path.level, path.index)[: path.width * merkle.HASH]
        return stored if len(stored) == path.width * merkle.HASH else None

    def _entries(self, session: Session, start: int, count: int) -> bytes | None:
        within = col(EvidenceEntry.position).between(start, start + count - 1)
        bodies = session.execute(select(EvidenceEntry.body).where(within).order_by(col(EvidenceEntry.position)))
        entries = [body.encode() for body in bodies.scalars()]
        return tiles.bundle(entries) if len(entries) == count else None

    def _prove(self, session: Session, record: EvidenceRecord, checkpoint: Note) -> LogProof:
        size = _size(str(checkpoint))
        place = select(EvidenceEntry.position).where(EvidenceEntry.event == event(record))
        position = session.execute(place).scalar()
        if position is None or position >= size:
            raise Unavailable(
                f"the record is not under the checkpoint of {size} records yet",
                field=f"{record.step.transaction} log {record.step.log_index}",
                remedy="try again in a second",
            )
        store = TileStore(session)
        store.fetch(position, size)
        return prove(position, size, store.tree, checkpoint)


# The table, not the class: a whole batch at once, without objects in between.
_INSERT = insert(EvidenceEntry.__table__)  # type: ignore[attr-defined]


def _pending(limit: int) -> Any:
    """The oldest pending rows, with their position if the event is in the log already."""
    rows = sqlalchemy.select(*map(col, (PendingEntry.id, PendingEntry.event, PendingEntry.deal, PendingEntry.body)))
    joined = rows.add_columns(col(EvidenceEntry.position)).outerjoin_from(
        PendingEntry, EvidenceEntry, col(EvidenceEntry.event) == col(PendingEntry.event)
    )
    return joined.order_by(col(PendingEntry.id)).limit(limit)


def _size(note: str) -> int:
    return Checkpoint.parse(Note.parse(note).text).size
