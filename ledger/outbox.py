"""Transactions on their way to a chain: the nonce is claimed and the signed bytes are stored before sending.

One lane per (chain, account). An operation is named by an id derived from its deal, so a retry is the same effect.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from connectionchain.evidence import EvidenceRecord
from connectionchain.ids import ChainId
from ledger import evidence
from ledger.database import Database


class Fate(StrEnum):
    """OPEN -> FINAL its effect is final | DEAD reverted or displaced for good: the operation may be planned anew."""

    OPEN = "open"
    FINAL = "final"
    DEAD = "dead"


class Lane(SQLModel, table=True):
    """The next free sequence (nonce) of an account on a chain."""

    chain: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    next_sequence: int


class OutboxTransaction(SQLModel, table=True):
    """One signed transaction. `raw` is sent unchanged until it is located."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("chain", "account", "sequence", "hash"),)

    id: int | None = Field(default=None, primary_key=True)
    operation: str = Field(index=True)
    chain: str
    account: str
    sequence: int
    hash: str
    raw: bytes
    fate: Fate = Fate.OPEN
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Signed(SQLModel):
    """What a lane needs to know of a signed transaction."""

    hash: str
    raw: bytes


class Outbox:
    """The outbox of one account on one chain."""

    def __init__(self, database: Database, chain: ChainId, account: str) -> None:
        self._database, self._chain, self._account = database, chain, account

    async def live(self, operation: str) -> OutboxTransaction | None:
        """The operation's transaction that may still take effect."""
        async with self._database.read() as session:
            return await self._live(session, operation)

    async def claim(self, operation: str, chain_sequence: int, sign: Callable[[int], Signed]) -> OutboxTransaction:
        """Claims the lane's next sequence, signs with it and stores the bytes, in one database transaction.
        Returns the live transaction instead if there is one already. `sign` must not wait for anything."""
        async with self._database.write() as session:
            lane = await self._lane(session, chain_sequence)
            if live := await self._live(session, operation):
                return live
            sequence = max(lane.next_sequence, chain_sequence)
            signed = sign(sequence)
            lane.next_sequence = sequence + 1
            stored = OutboxTransaction(
                operation=operation,
                chain=self._chain,
                account=self._account,
                sequence=sequence,
                hash=signed.hash,
                raw=signed.raw,
            )
            session.add_all((lane, stored))
            return stored

    async def finish(self, operation: str, fate: Fate, records: Sequence[EvidenceRecord] = ()) -> None:
        """Ends the operation's open transactions and appends its evidence, in one database transaction."""
        async with self._database.write() as session:
            for row in await session.exec(_open(operation)):
                row.fate = fate
                session.add(row)
            for record in records:
                await evidence.append(session, record)

    async def _lane(self, session: AsyncSession, chain_sequence: int) -> Lane:
        """The lane, locked until the transaction ends."""
        key = (str(self._chain), self._account)
        lane = await session.get(Lane, key, with_for_update=True)
        if lane is None:
            lane = Lane(chain=key[0], account=key[1], next_sequence=chain_sequence)
            session.add(lane)
            await session.flush()  # two workers may both insert: the second fails here and retries
        return lane

    async def _live(self, session: AsyncSession, operation: str) -> OutboxTransaction | None:
        return (await session.exec(_open(operation))).first()


def _open(operation: str) -> SelectOfScalar[OutboxTransaction]:
    return select(OutboxTransaction).where(
        col(OutboxTransaction.operation) == operation, col(OutboxTransaction.fate) == Fate.OPEN
    )
