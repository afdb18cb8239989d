"""Who follows which events of a chain, and how far: one row for each workflow and filter.

The row's position only moves forward, so that whatever is read twice counts once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, String, UniqueConstraint, update
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.events import EventFilter
from connectionchain.ids import ChainId
from connectionchain.mandate import Mandate
from connectionchain.model import json_of
from ledger.database import Database
from ledger.evidence import BIG


class Digits(TypeDecorator[int]):
    """A natural number below 10^78 as text: exact, and as short as it is."""

    impl = String(78)
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, _dialect: Any) -> int | None:
        return None if value is None else int(value)


class Subscription(SQLModel, table=True):
    """`next_block` is the first one not followed yet; the block before it was final at chain time `followed`.
    `count` events have passed so far, the newest at (`block`, `log_index`); a mandate's cost `total` for `units`."""

    __tablename__ = "subscription"
    # an id is never used again: the watch remembers by id what is wanted
    __table_args__ = (UniqueConstraint("subscriber", "filter_id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    subscriber: str
    filter_id: str
    chain: str = Field(index=True)
    filter: dict[str, Any] = Field(sa_type=JSON)
    mandate: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    detailed: bool = False
    next_block: int = Field(sa_type=BIG)
    followed: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    count: int = 0
    block: int = Field(default=-1, sa_type=BIG)
    log_index: int = -1
    units: int = Field(default=0, sa_type=Digits)
    total: int = Field(default=0, sa_type=Digits)

    @property
    def at(self) -> tuple[int, int]:
        return self.block, self.log_index


class Subscriptions:
    """Those in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribe(
        self, subscriber: str, wanted: EventFilter, mandate: Mandate | None = None, detailed: bool = False
    ) -> Subscription:
        """The subscription, made now or before. One that was given up meanwhile goes on, from the newest event it has
        counted, so that its subscriber is told again of what it may have missed."""
        async with self._database.write() as session:
            same = (Subscription.subscriber == subscriber, Subscription.filter_id == wanted.id)
            row = (await session.exec(select(Subscription).where(*same))).first()
            if row is None:
                row = Subscription(
                    subscriber=subscriber,
                    filter_id=wanted.id,
                    chain=wanted.chain,
                    filter=json_of(wanted),
                    mandate=json_of(mandate) if mandate else None,
                    detailed=detailed,
                    next_block=wanted.since,
                )
                session.add(row)
            elif not row.chain:
                row.chain, row.next_block = wanted.chain, min(row.next_block, max(row.block, wanted.since))
            return row

    async def unsubscribe(self, subscriber: str) -> None:
        """What a mandate's uses cost stays on record: its rows are kept, and only not followed any more."""
        async with self._database.write() as session:
            mine = col(Subscription.subscriber) == subscriber
            await session.exec(delete(Subscription).where(mine, col(Subscription.total) == 0))
            await session.exec(update(Subscription).where(mine).values(chain=""))

    async def waiting(self, chain: ChainId, final: int) -> dict[int, int]:
        """The next block of each subscription, by id, that has final blocks to follow."""
        rows = select(Subscription.id, Subscription.next_block).where(
            Subscription.chain == str(chain), Subscription.next_block <= final
        )
        async with self._database.read() as session:
            return {id_: block for id_, block in await session.exec(rows) if id_ is not None}

    async def of(self, session: AsyncSession, subscriber: str) -> Subscription:
        """The one subscription of a mandate."""
        return (await session.exec(select(Subscription).where(Subscription.subscriber == subscriber))).one()

    async def rows(self, ids: Sequence[int]) -> list[Subscription]:
        async with self._database.read() as session:
            return list(await session.exec(select(Subscription).where(col(Subscription.id).in_(ids))))


async def advance(session: AsyncSession, ids: Sequence[int], next_block: int, followed: datetime | None) -> None:
    """They have been followed up to `next_block`. Without `followed`, that block's time is not known."""
    values: dict[str, Any] = {"next_block": next_block} | ({"followed": followed} if followed else {})
    behind = col(Subscription.id).in_(ids), col(Subscription.next_block) < next_block
    await session.exec(update(Subscription).where(*behind).values(**values))


async def move(session: AsyncSession, row: Subscription) -> None:
    """Writes down how much the row has counted, if it is still followed."""
    values = {"count": row.count, "block": row.block, "log_index": row.log_index}
    await session.exec(update(Subscription).where(col(Subscription.id) == row.id).values(**values))
