"""The bill of each mandate: one row for each use, appended once and in order, never changed.

The same book is kept by the connection node of the data chain and, each on its own, by every attestor.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import DateTime, Integer, UniqueConstraint, func, insert
from sqlmodel import Field, SQLModel, col, delete, select
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

KEPT = {"subscriber", "filter_id", "chain", "filter", "mandate", "detailed"}
UNPAYABLE = UINT96_MAX + 1
"""The price of a use whose price cannot be reckoned: no cap reaches it."""


class UseRow(SQLModel, table=True):
    """Use `number` of a subscription, from 1 on; `total` is what all uses up to this one cost, in base units."""

    __tablename__ = "usage"
    __table_args__ = (UniqueConstraint("subscription", "block", "log_index"), {"sqlite_with_rowid": False})

    subscription: int = Field(sa_type=BIG, primary_key=True)
    number: int = Field(primary_key=True, sa_type=Integer)
    block: int = Field(sa_type=BIG)
    log_index: int = Field(sa_type=Integer)
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


async def billed(session: AsyncSession, row: Subscription, before: int) -> int:
    """How many uses of blocks before this one are on the bill."""
    wanted = UseRow.subscription == row.id, UseRow.block < before
    return (await session.exec(select(func.count()).select_from(UseRow).where(*wanted))).one()


async def begin_anew(session: AsyncSession, row: Subscription, mandate: Mandate) -> None:
    """The bill is empty, and its uses are followed again from the first on. What is disputed stays so. Whoever was just
    writing on the old bill finds it gone."""
    held = await disputed(session, row)
    for table in (UseRow, DisputeRow):
        await session.exec(delete(table).where(col(table.subscription) == row.id))
    await session.delete(row)
    await session.flush()
    fresh = Subscription(**row.model_dump(include=KEPT), next_block=mandate.usage.since)
    session.add(fresh)
    await session.flush()
    for use in held:
        await dispute(session, fresh, use)


async def dispute(session: AsyncSession, row: Subscription, use: Position) -> None:
    """Holds the price of this use back."""
    assert row.id is not None
    await session.merge(DisputeRow(subscription=row.id, block=use.block, log_index=use.log_index))


async def disputable(session: AsyncSession, row: Subscription, mandate: Mandate, use: Position) -> None:
    """Raises UnknownName if there is no such use, TooLate once it has become payable."""
    found = await _at(session, row, use.block, use.log_index)
    if found is None or row.followed is None:
        raise UnknownName(f"no use {use.block}/{use.log_index} is on this bill", field="use")
    if found.time <= row.followed - mandate.window:
        raise TooLate(f"the {mandate.dispute_window} s to dispute it have passed", field="use")


async def disputed(session: AsyncSession, row: Subscription) -> list[Position]:
    """The uses whose price is held back."""
    rows = await session.exec(select(DisputeRow).where(DisputeRow.subscription == row.id))
    return [Position(block=each.block, log_index=each.log_index) for each in rows]


async def reckon(
    session: AsyncSession, row: Subscription, mandate: Mandate, cap: int, cutoff: datetime, held: Iterable[Position]
) -> Reckoning:
    """What is payable of the uses before `cutoff` under `cap`, less those that are `held` back, as far as the row has
    followed the chain."""
    if row.followed is None:
        return Reckoning()
    followed = row.followed.replace(tzinfo=UTC)
    newest = await _last(session, row, lambda use: _time(use) < cutoff)
    fitting = await _last(session, row, lambda use: use.total <= cap and _time(use) < cutoff and _time(use) <= followed)
    ripe = await _last(
        session, row, lambda use: use.total <= cap and _time(use) < cutoff and _time(use) <= followed - mandate.window
    )
    exhausted = newest is not None and newest.total > cap
    through = Position(block=ripe.block, log_index=ripe.log_index) if ripe else Position()
    ended = followed >= cutoff or (exhausted and mandate.at_cap is AtCap.REFUSE)
    return Reckoning(
        payable=ripe.total - await _price(session, row, held, ripe) if ripe else 0,
        through=through,
        exhausted=exhausted,
        final=ended and ripe == fitting,
    )


async def _last(session: AsyncSession, row: Subscription, fits: Callable[[UseRow], bool]) -> UseRow | None:
    """The last use that fits. Totals and times only grow, so that halving finds it, however many there are."""
    found, low, high = None, 1, row.count
    number = high  # mostly it is the newest
    while low <= high:
        use = await session.get_one(UseRow, (row.id, number))
        if fits(use):
            found, low = use, number + 1
        else:
            high = number - 1
        number = (low + high) // 2
    return found


def _time(use: UseRow) -> datetime:
    return use.time.replace(tzinfo=UTC)


async def _price(session: AsyncSession, row: Subscription, wanted: Iterable[Position], last: UseRow) -> int:
    """Of these uses, as far as they are not after `last`."""
    uses = [await _at(session, row, each.block, each.log_index) for each in wanted]
    return sum(use.price for use in uses if use and use.number <= last.number)


async def _at(session: AsyncSession, row: Subscription, block: int, log_index: int) -> UseRow | None:
    here = UseRow.subscription == row.id, UseRow.block == block, UseRow.log_index == log_index
    return (await session.exec(select(UseRow).where(*here))).first()


async def uses(database: Database, wanted: UsesWanted) -> list[Use]:
    """A page of a mandate's bill."""
    async with database.read() as session:
        mine = select(Subscription.id).where(Subscription.subscriber == wanted.mandate)
        id_ = (await session.exec(mine)).first()
        page = select(UseRow).where(UseRow.subscription == id_, UseRow.number > wanted.after)
        rows = await session.exec(page.order_by(col(UseRow.number)).limit(wanted.limit))
        held = await session.exec(select(DisputeRow).where(DisputeRow.subscription == id_))
        marked = {(each.block, each.log_index) for each in held}
        return [_use(row, (row.block, row.log_index) in marked) for row in rows]


def _use(row: UseRow, disputed: bool) -> Use:
    return Use(
        number=row.number,
        at=Position(block=row.block, log_index=row.log_index),
        transaction=row.transaction,
        time=_time(row),
        units=row.units,
        price=row.price,
        total=row.total,
        disputed=disputed,
    )
