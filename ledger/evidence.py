"""The evidence of every step, appended in the transaction that marks the step final.

Records arrive in `evidence_pending`; the log's sequencer moves them to `evidence`, where `position` is the leaf's
number and no row is ever changed.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, bindparam, exists, func, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.ids import ChainId

# SQLite numbers rows by itself only if the key's type is called INTEGER.
BIG = BigInteger().with_variant(Integer, "sqlite")
COLUMNS = ("event", "deal", "body")
PAGE = 500


class PendingEntry(SQLModel, table=True):
    """A record on its way into the log. `event` names what it tells of; `body` is its canonical JSON."""

    __tablename__ = "evidence_pending"

    id: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    event: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    deal: bytes = Field(sa_column=Column(LargeBinary, index=True, nullable=False))
    body: str


class EvidenceEntry(SQLModel, table=True):
    """A leaf of the log."""

    __tablename__ = "evidence"

    position: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    event: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    deal: bytes = Field(sa_column=Column(LargeBinary, index=True, nullable=False))
    body: str


def event(record: EvidenceRecord) -> bytes:
    """Names the chain event a record is about: told twice, it is logged once."""
    step = record.step
    fact = f"{step.block.hash} {step.kind is Kind.DISPLACED}"
    return hashlib.sha256(f"{step.chain} {step.transaction} {step.log_index} {fact}".encode()).digest()


async def append(session: AsyncSession, record: EvidenceRecord) -> None:
    """Appends `record` once, however often it is reported. It counts when the caller's transaction commits."""
    await extend(session, [record])


async def extend(session: AsyncSession, records: Iterable[EvidenceRecord]) -> None:
    """Appends many records at the price of one statement."""
    rows = [
        {"event": event(record), "deal": bytes.fromhex(record.deal[2:]), "body": record.canonical().decode()}
        for record in records
    ]
    if rows:
        connection = await session.connection()
        await connection.execute(_INSERT[connection.dialect.name], rows)


async def records(session: AsyncSession, deal: str) -> list[EvidenceRecord]:
    """All evidence of a deal: what is in the log in its order, then what is on its way."""
    raw = bytes.fromhex(deal[2:])
    logged = select(EvidenceEntry.body).where(EvidenceEntry.deal == raw).order_by(col(EvidenceEntry.position))
    pending = select(PendingEntry.body).where(PendingEntry.deal == raw).order_by(col(PendingEntry.id))
    # Pending first: between two reads a record may move into the log, but never out of it.
    arriving: Sequence[str] = (await session.exec(pending)).all()
    bodies = dict.fromkeys([*(await session.exec(logged)).all(), *arriving])
    return [EvidenceRecord.model_validate_json(body) for body in bodies]


def _insert(dialect: Any) -> Any:
    """Into the pending ones unless the event is there or in the log already. A writer that looks just before the
    sequencer moves the same event may still leave a second copy, which the sequencer then drops."""
    values = [bindparam(name, type_=getattr(PendingEntry, name).type) for name in COLUMNS]
    logged = exists(literal_column("1")).where(col(EvidenceEntry.event) == bindparam("event", type_=LargeBinary()))
    return dialect.insert(PendingEntry).from_select(COLUMNS, select(*values).where(~logged)).on_conflict_do_nothing()


_INSERT = {"sqlite": _insert(sqlite), "postgresql": _insert(postgresql)}


async def of_chain(session: AsyncSession, chain: ChainId, since: int = 0) -> AsyncIterator[EvidenceRecord]:
    """The evidence of one chain: what is on its way, then what is in the log from leaf `since` on. A page is read at a
    time, however long the log is."""
    for body in await session.exec(select(PendingEntry.body)):
        if (record := EvidenceRecord.model_validate_json(body)).step.chain == chain:
            yield record
    leaves = select(EvidenceEntry.position, EvidenceEntry.body).order_by(col(EvidenceEntry.position)).limit(PAGE)
    while page := (await session.exec(leaves.where(EvidenceEntry.position >= since))).all():
        for _, body in page:
            if (record := EvidenceRecord.model_validate_json(body)).step.chain == chain:
                yield record
        since = page[-1][0] + 1


async def size(session: AsyncSession) -> int:
    """How many leaves the log has."""
    last = (await session.exec(select(func.max(EvidenceEntry.position)))).one()
    return 0 if last is None else last + 1


async def recorded(session: AsyncSession, deals: Iterable[str]) -> set[tuple[str, int]]:
    """Transaction and log index of every event of these deals that there is evidence of."""
    wanted, found = [bytes.fromhex(deal[2:]) for deal in set(deals)], set[tuple[str, int]]()
    for first in range(0, len(wanted), PAGE):
        for table in (PendingEntry, EvidenceEntry):  # in this order, as above
            mine = select(table.body).where(col(table.deal).in_(wanted[first : first + PAGE]))
            steps = [EvidenceRecord.model_validate_json(body).step for body in await session.exec(mine)]
            found |= {(step.transaction, step.log_index) for step in steps}
    return found
