"""What the liquidity desk remembers: rates, quotes, and what it granted."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Dialect, String, Text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.deal import Deal
from connectionchain.errors import InvalidInput, PriceRefused, UnknownName
from connectionchain.ids import AccountId
from connectionchain.model import Model
from connectionchain.rates import Quote, Rate
from ledger.database import Database

KEPT = timedelta(days=1)
"""How long an expired quote stays known, so that its user is told that it has expired."""


class Units(TypeDecorator[int]):
    """An amount in base units, kept as decimal text: SQLite has no exact number above 2^63."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class RateRow(SQLModel, table=True):
    __tablename__ = "liquidity_rate"
    name: str = Field(primary_key=True)
    target: str = Field(index=True)
    retired: bool = False
    document: str = Field(sa_type=Text)


class QuoteRow(SQLModel, table=True):
    __tablename__ = "liquidity_quote"
    id: str = Field(primary_key=True)
    expires: float = Field(index=True)
    deal: str | None = None
    document: str = Field(sa_type=Text)


class GrantRow(SQLModel, table=True):
    """What one leg paid to the desk bought in one deal under one rate, in target base units."""

    __tablename__ = "liquidity_grant"
    deal: str = Field(primary_key=True)
    rate: str = Field(primary_key=True, index=True)
    leg: int = Field(primary_key=True)
    day: str = Field(index=True)
    counterparty: str
    amount: int = Field(sa_type=Units)


class Grant(Model):
    """`counterparty`, the payer of `leg`, buys `amount` target base units under `rate`."""

    rate: Rate
    leg: int
    counterparty: AccountId
    amount: int


Decide = Callable[[Sequence[Rate], Quote | None], Sequence[Grant]]


class LiquidityBook:
    """Rates, quotes and grants. A rate that is replaced or retired keeps what was granted under its name."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def register(self, rate: Rate) -> None:
        """Raises InvalidInput if the name is taken."""
        await insert(self.database, _rate_row(rate), "name", f"there is a rate {rate.name} already")

    async def replace(self, rate: Rate) -> None:
        """New terms under a known name, in use again if it was retired. Raises UnknownName."""
        async with self.database.write() as session:
            await self._row(session, rate.name)
            await session.merge(_rate_row(rate))

    async def retire(self, name: str) -> None:
        """Ends a rate and voids its open quotes. Raises UnknownName."""
        async with self.database.write() as session:
            (await self._row(session, name)).retired = True

    async def rates(self, now: datetime | None = None) -> list[Rate]:
        """All that are not retired, by name; only those in force at `now` if it is given."""
        async with self.database.read() as session:
            rows = await session.exec(select(RateRow).where(col(RateRow.retired).is_(False)).order_by(RateRow.name))
            rates = [Rate.model_validate_json(row.document) for row in rows]
        return [rate for rate in rates if now is None or rate.in_force(now)]

    async def rate(self, name: str) -> Rate:
        """Raises UnknownName; a retired rate is unknown."""
        rates = {rate.name: rate for rate in await self.rates()}
        if name not in rates:
            raise unknown("rate", name, rates)
        return rates[name]

    async def add_quote(self, quote: Quote) -> None:
        """Stores a quote, and forgets those that expired a day before it was made."""
        async with self.database.write() as session:
            long_ago = (quote.created - KEPT).timestamp()
            await session.exec(delete(QuoteRow).where(col(QuoteRow.expires) < long_ago))
            row = QuoteRow(id=quote.id, expires=quote.expires.timestamp(), document=quote.model_dump_json())
            session.add(row)

    async def grant(self, deal: Deal, now: datetime, decide: Decide) -> None:
        """Records what `decide` grants the deal, given the rates for its tokens and the quote it refers to.

        One transaction with the rates locked: of two deals that together pass a limit one is refused. A deal that was
        granted before is not decided again. Raises PriceRefused, and what `decide` raises.
        """
        async with self.database.write() as session:
            rates = await self._locked_rates(session, deal)
            if (await session.exec(select(GrantRow).where(GrantRow.deal == deal.id))).first():
                return
            row = await session.get(QuoteRow, deal.reference, with_for_update=True)
            grants = decide(rates, Quote.model_validate_json(row.document) if row else None)
            if row:
                _use(row, deal, grants)
            await _record(session, deal, now.astimezone(UTC).date().isoformat(), grants)

    async def _row(self, session: AsyncSession, name: str) -> RateRow:
        row = await session.get(RateRow, name, with_for_update=True)
        if row is None:
            raise unknown("rate", name, (await session.exec(select(RateRow.name))).all())
        return row

    async def _locked_rates(self, session: AsyncSession, deal: Deal) -> list[Rate]:
        tokens = {str(leg.token) for leg in deal.legs}
        usable = select(RateRow).where(col(RateRow.target).in_(tokens), col(RateRow.retired).is_(False))
        rows = await session.exec(usable.order_by(RateRow.name).with_for_update())
        return [Rate.model_validate_json(row.document) for row in rows]


def _rate_row(rate: Rate) -> RateRow:
    return RateRow(name=rate.name, target=rate.target, document=rate.model_dump_json())


def _use(row: QuoteRow, deal: Deal, grants: Sequence[Grant]) -> None:
    """A quote is an offer for one deal: used often, it would sell at an old price without end."""
    if row.deal:
        raise PriceRefused(f"{row.id} was used by deal {row.deal}", field="reference", remedy="ask for a new quote")
    if Quote.model_validate_json(row.document).rate in {grant.rate.name for grant in grants}:
        row.deal = deal.id


async def _record(session: AsyncSession, deal: Deal, day: str, grants: Sequence[Grant]) -> None:
    for rate in {grant.rate.name: grant.rate for grant in grants}.values():
        sold = (await session.exec(select(GrantRow).where(GrantRow.rate == rate.name, GrantRow.day == day))).all()
        _check_limits(rate, sold, [grant for grant in grants if grant.rate == rate])
    for each in grants:
        who, amount = each.counterparty, each.amount
        row = GrantRow(deal=deal.id, rate=each.rate.name, leg=each.leg, day=day, counterparty=who, amount=amount)
        session.add(row)


def _check_limits(rate: Rate, sold: Sequence[GrantRow], grants: Sequence[Grant]) -> None:
    _within(rate.limits.per_deal, 0, grants, "a deal")
    _within(rate.limits.per_day, sum(row.amount for row in sold), grants, "a day")
    for who in {grant.counterparty for grant in grants}:
        before = sum(row.amount for row in sold if row.counterparty == who)
        theirs = [grant for grant in grants if grant.counterparty == who]
        _within(rate.limits.per_counterparty, before, theirs, f"a day to {who}")


def _within(limit: int, before: int, grants: Iterable[Grant], period: str) -> None:
    asked = sum(grant.amount for grant in grants)
    if before + asked > limit:
        message = f"{asked} on top of {before} is above the limit of {limit} base units {period}"
        raise PriceRefused(message, field="legs", remedy=f"at most {max(0, limit - before)} more can be sold now")


async def insert(database: Database, row: SQLModel, field: str, taken: str) -> None:
    try:
        async with database.write() as session:
            session.add(row)
    except IntegrityError:
        raise InvalidInput(taken, field=field, remedy="choose another, or change the one there is") from None


def unknown(field: str, name: str, known: Iterable[str]) -> UnknownName:
    return UnknownName(f"there is no {name!r}", field=field, remedy=f"known: {', '.join(sorted(known)) or 'none'}")
