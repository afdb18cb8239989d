"""Transactions on their way to a chain: the nonce is claimed and the signed bytes are stored before sending.

One lane per (chain, account). An operation is named by an id derived from its deal, so a retry is the same effect.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, UniqueConstraint
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
    """One signed transaction. `raw` is sent unchanged until it is located; a replacement with a higher fee has the
    same sequence and the next `attempt`. `plan` is what was signed, kept to sign the replacement."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("chain", "account", "sequence", "attempt"),)

    id: int | None = Field(default=None, primary_key=True)
    operation: str = Field(index=True)
    chain: str
    account: str
    sequence: int
    attempt: int = 0
    hash: str
    raw: bytes
    plan: dict[str, Any] = Field(sa_type=JSON)
    fate: Fate = Fate.OPEN
    created: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=DateTime(timezone=True))

    @property
    def age(self) -> timedelta:
        return datetime.now(UTC) - self.created.replace(tzinfo=UTC)  # SQLite forgets the zone


class Signed(SQLModel):
    """What a lane needs to know of a signed transaction."""

    hash: str
    raw: bytes


Sign = Callable[[int], Signed]
"""Signs for a sequence. It must not wait for anything: the lane is held meanwhile."""


class Outbox:
    """The outbox of one account on one chain."""

    def __init__(self, database: Database, chain: ChainId, account: str) -> None:
        self._database, self._chain, self._account = database, chain, account

    async def attempts(self, operation: str) -> list[OutboxTransaction]:
        """The operation's transactions that may still take effect, oldest first: at most one of them will."""
        async with self._database.read() as session:
            return await _open(session, operation)

    async def claim(
        self, operation: str, chain_sequence: int, plan: dict[str, Any], sign: Sign
    ) -> list[OutboxTransaction]:
        """Claims the lane's next sequence, signs with it and stores the bytes, in one database transaction.
        Returns the operation's attempts: those that were there already, if another worker was faster."""
        async with self._database.write() as session:
            lane = await self._lane(session, chain_sequence)
            if attempts := await _open(session, operation):
                return attempts
            sequence = max(lane.next_sequence, chain_sequence)
            lane.next_sequence = sequence + 1
            stored = self._transaction(operation, sequence, 0, plan, sign(sequence))
            session.add_all((lane, stored))
            return [stored]

    async def replace(self, last: OutboxTransaction, plan: dict[str, Any], sign: Sign) -> OutboxTransaction:
        """Stores a further attempt with the same sequence; or returns the one another worker has stored. What has ended
        stays so: it may be replaced only because others wait behind it."""
        async with self._database.write() as session:
            await self._lane(session, last.sequence)
            found = await session.exec(self._rows().where(OutboxTransaction.sequence == last.sequence))
            newest = max(found, key=lambda row: row.attempt)
            if newest.attempt > last.attempt:
                return newest
            stored = self._transaction(last.operation, last.sequence, last.attempt + 1, plan, sign(last.sequence))
            stored.fate = newest.fate
            session.add(stored)
            return stored

    async def waiting(self, chain_sequence: int, before: int) -> list[OutboxTransaction]:
        """The newest attempt at each sequence from `chain_sequence` to just before `before`: what the chain has not
        taken yet, whatever became of its operation. A lane goes on only if all of them do."""
        within = OutboxTransaction.sequence >= chain_sequence, OutboxTransaction.sequence < before
        rows = self._rows().where(*within)
        async with self._database.read() as session:
            found = await session.exec(rows.order_by(col(OutboxTransaction.sequence), col(OutboxTransaction.attempt)))
            return list({row.sequence: row for row in found}.values())

    async def finish(self, operation: str, fate: Fate, records: Sequence[EvidenceRecord] = ()) -> None:
        """Ends the operation's open transactions and appends its evidence, in one database transaction."""
        async with self._database.write() as session:
            for row in await _open(session, operation):
                row.fate = fate
                session.add(row)
            for record in records:
                await evidence.append(session, record)

    def _rows(self) -> SelectOfScalar[OutboxTransaction]:
        """The lane's transactions."""
        return select(OutboxTransaction).where(
            OutboxTransaction.chain == self._chain, OutboxTransaction.account == self._account
        )

    def _transaction(
        self, operation: str, sequence: int, attempt: int, plan: dict[str, Any], signed: Signed
    ) -> OutboxTransaction:
        return OutboxTransaction(
            operation=operation,
            chain=self._chain,
            account=self._account,
            sequence=sequence,
            attempt=attempt,
            hash=signed.hash,
            raw=signed.raw,
            plan=plan,
        )

    async def _lane(self, session: AsyncSession, chain_sequence: int) -> Lane:
        """The lane, locked until the transaction ends."""
        key = (str(self._chain), self._account)
        lane = await session.get(Lane, key, with_for_update=True)
        if lane is None:
            lane = Lane(chain=key[0], account=key[1], next_sequence=chain_sequence)
            session.add(lane)
            await session.flush()  # two workers may both insert: the second fails here and retries
        return lane


async def _open(session: AsyncSession, operation: str) -> list[OutboxTransaction]:
    rows = select(OutboxTransaction).where(
        col(OutboxTransaction.operation) == operation, col(OutboxTransaction.fate) == Fate.OPEN
    )
    return list(await session.exec(rows.order_by(col(OutboxTransaction.attempt))))
