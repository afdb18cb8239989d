"""The bill of each mandate: one row for each use, appended once and in order, never changed.

The same book is kept by the connection node of the data chain and, each on its own, by every attestor.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import DateTime, Integer, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.billing import Reckoning, Use, UsesWanted
from connectionchain.errors import TooLate, UnknownName
from connectionchain.events import Position
from connectionchain.mandate import AtCap, Mandate
from connectionchain.model import chain_time
from connectionchain.money import UINT96_MAX
from connectionchain.sieve import Match
from connectionchain.tariff import Overflow
from ledger.database import Database
from ledger.evidence import BIG
from ledger.subscriptions import Digits, Subscription

UNPAYABLE = UINT96_MAX + 1
"""The price of a use whose price cannot be reckoned: no cap reaches it."""


class UseRow(SQLModel, table=True):
    """`total` is what all uses up to this one cost, in base units."""

    __tablename__ = "usage"

    subscription: int = Field(sa_type=BIG, primary_key=True)
    block: int = Field(sa_type=BIG, primary_key=True)
    log_index: int = Field(sa_type=Integer, primary_key=True)
    number: int
    transaction: str
    time: datetime = Field(sa_type=DateTime(timezone=True))
    units: int = Field(sa_type=Digits)
    price: int = Field(sa_type=Digits)
    total: int = Field(sa_type=Digits)


class DisputeRow(SQLModel, table=True):
    """A use whose price is held back."""

    __tablename__ = "usage_dispute"

    subscription: int = Field(sa_type=BIG, primary_key=True)
    block: int = Field(sa_type=BIG, primary_key=True)
    log_index: int = Field(sa_type=Integer, primary_key=True)


async def append(session: AsyncSession, subscription: int, mandate: Mandate, uses: Sequence[Match]) -> Subscription:
    """Prices what is new of these uses, in order; the subscription as it is then."""
    row = await session.get_one(Subscription, subscription, with_for_update=True)
    had = row.at
    if new := [use for use in uses if use.at > had]:
        rows = _priced(row, mandate, new)
        session.add(row)
        await (await session.connection()).execute(insert(UseRow), rows)
    return row


def _priced(row: Subscription, mandate: Mandate, uses: Sequence[Match]) -> list[dict[str, object]]:
    """Rows of new uses, on the subscription's running count, which moves along."""
    count, units, total, rows = row.count, row.units, row.total, []
    for use in uses:
        amount = int(use.values[mandate.units]) if mandate.units else 1
        try:
            price = mandate.tariff.price(units, amount)
            units += amount
        except Overflow:
            price = UNPAYABLE
        count, total = count + 1, total + price
        rows.append(_row(row, use, count) | {"units": amount, "price": price, "total": total})
    row.count, row.units, row.total = count, units, total
    row.block, row.log_index = uses[-1].at
    return rows


def _row(row: Subscription, use: Match, number: int) -> dict[str, object]:
    return {
        "subscription": row.id,
        "block": use.log.block,
        "log_index": use.log.log_index,
        "number": number,
        "transaction": use.log.transaction,
        "time": chain_time(use.log.time),
    }


async def dispute(session: AsyncSession, row: Subscription, use: Position) -> None:
    """Holds the price of this use back."""
    assert row.id is not None
    await session.merge(DisputeRow(subscription=row.id, block=use.block, log_index=use.log_index))


async def disputable(session: AsyncSession, row: Subscription, mandate: Mandate, use: Position) -> None:
    """Raises UnknownName if there is no such use, TooLate once it has become payable."""
    found = await session.get(UseRow, (row.id, use.block, use.log_index))
    if found is None or row.followed is None:
        raise UnknownName(f"no use {use.block}/{use.log_index} is on this bill", field="use")
    if found.time <= row.followed - mandate.window:
        raise TooLate(f"the {mandate.dispute_window} s to dispute it have passed", field="use")


async def reckon(session: AsyncSession, row: Subscription, mandate: Mandate, cap: int, cutoff: datetime) -> Reckoning:
    """What is payable of the uses before `cutoff` under `cap`, as far as the row has followed the chain."""
    if row.followed is None:
        return Reckoning()
    followed = row.followed.replace(tzinfo=UTC)
    ripe = await _last(session, row, cap, cutoff, followed - mandate.window)
    fitting = await _last(session, row, cap, cutoff, followed)
    more = select(UseRow.number).where(UseRow.subscription == row.id, col(UseRow.total) > cap, UseRow.time < cutoff)
    exhausted = (await session.exec(more.limit(1))).first() is not None
    through = Position(block=ripe.block, log_index=ripe.log_index) if ripe else Position()
    ended = followed >= cutoff or (exhausted and mandate.at_cap is AtCap.REFUSE)
    return Reckoning(
        payable=ripe.total - await _held(session, row, ripe) if ripe else 0,
        through=through,
        exhausted=exhausted,
        final=ended and ripe == fitting,
    )


async def _last(session: AsyncSession, row: Subscription, cap: int, cutoff: datetime, until: datetime) -> UseRow | None:
    """The last use that fits: totals and times only grow."""
    fits = UseRow.subscription == row.id, col(UseRow.total) <= cap, UseRow.time < cutoff, UseRow.time <= until
    latest = select(UseRow).where(*fits).order_by(col(UseRow.block).desc(), col(UseRow.log_index).desc())
    return (await session.exec(latest.limit(1))).first()


async def _held(session: AsyncSession, row: Subscription, last: UseRow) -> int:
    """The prices of disputed uses up to `last`."""
    disputed = select(UseRow).join(
        DisputeRow,
        (col(DisputeRow.subscription) == UseRow.subscription)
        & (col(DisputeRow.block) == UseRow.block)
        & (col(DisputeRow.log_index) == UseRow.log_index),
    )
    uses = await session.exec(disputed.where(UseRow.subscription == row.id, UseRow.number <= last.number))
    return sum(each.price for each in uses)


async def uses(database: Database, wanted: UsesWanted) -> list[Use]:
    """A page of a mandate's bill."""
    async with database.read() as session:
        mine = select(Subscription.id).where(Subscription.subscriber == wanted.mandate)
        id_ = (await session.exec(mine)).first()
        page = select(UseRow).where(UseRow.subscription == id_, UseRow.number > wanted.after)
        rows = await session.exec(page.order_by(col(UseRow.number)).limit(wanted.limit))
        held = await session.exec(select(DisputeRow).where(DisputeRow.subscription == id_))
        disputed = {(each.block, each.log_index) for each in held}
        return [_use(row, disputed) for row in rows]


def _use(row: UseRow, disputed: set[tuple[int, int]]) -> Use:
    return Use(
        number=row.number,
        at=Position(block=row.block, log_index=row.log_index),
        transaction=row.transaction,
        time=row.time.replace(tzinfo=UTC),
        units=row.units,
        price=row.price,
        total=row.total,
        disputed=(row.block, row.log_index) in disputed,
    )
