"""Exchange rates between two currencies and the quotes made from them: exact arithmetic over base units.

A ratio is target base units for one source base unit, so no decimals enter here (`base_ratio` turns what people
write into it). Rounding: the side that is computed moves by less than one base unit against the payer, never for
him: what he receives is rounded down, what he pays is rounded up. Whatever buys or costs nothing is refused.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from connectionchain.conditions import Condition
from connectionchain.deal import Cancellable, Deal, Leg
from connectionchain.errors import InvalidInput, PriceRefused, TooLate
from connectionchain.ids import AccountId, TokenId
from connectionchain.model import Model, Time, rfc3339
from connectionchain.money import UINT96_MAX, Amount, AmountOrZero, Exact, exact
from connectionchain.settlement import LegAuthorization

TASK_QUEUE = "liquidity"


def base_ratio(whole: str, source_decimals: int, target_decimals: int) -> Fraction:
    """`"1.5"` whole target units for one whole source unit, as a ratio of base units. ValueError if not exact."""
    return exact(whole) * Fraction(10) ** (target_decimals - source_decimals)


class Commission(Model):
    """What the liquidity account keeps of each payment: `fixed` source base units and `percent` of the payment."""

    fixed: AmountOrZero = 0
    percent: Annotated[Exact, Field(ge=0, lt=100)] = Fraction(0)

    def of(self, pay: int) -> Fraction:
        return self.fixed + pay * self.percent / 100


class Limits(Model):
    """The most target base units sold in one deal, in one UTC day, and in one day to one counterparty."""

    per_deal: Amount
    per_day: Amount
    per_counterparty: Amount


class Rate(Model):
    """Whoever pays `source` to the account `receives` is sold `target` from the account `pays`.

    In force from `valid_from` until just before `valid_until`. `ratio` is in base units (see the module).
    """

    name: str = Field(pattern=r"^[-_.a-zA-Z0-9]{1,64}$")
    source: TokenId
    target: TokenId
    receives: AccountId
    pays: AccountId
    ratio: Annotated[Exact, Field(gt=0)]
    commission: Commission = Commission()
    valid_from: Time
    valid_until: Time
    limits: Limits

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.source == self.target:
            raise ValueError("source and target are the same token")
        if self.valid_until <= self.valid_from:
            raise ValueError("valid_until: must be after valid_from")
        for role, account, token in (("receives", self.receives, self.source), ("pays", self.pays, self.target)):
            if account.chain != token.chain:
                raise ValueError(f"{role}: {account} is not on the chain of {token}")
        return self

    def buys(self, pay: int) -> int:
        """The most target base units that `pay` source base units buy: rounded down, 0 if they buy nothing."""
        return max(0, floor((pay - self.commission.of(pay)) * self.ratio))

    def costs(self, receive: int) -> int:
        """The least source base units that buy `receive` target base units: rounded up. `buys` of it is enough."""
        return ceil((receive / self.ratio + self.commission.fixed) / (1 - self.commission.percent / 100))

    def in_force(self, now: datetime) -> bool:
        return self.valid_from <= now < self.valid_until


class TokenAmount(Model):
    """`amount` base units of `token`."""

    token: TokenId
    amount: Amount


class QuoteRequest(Model):
    """What does it cost? Exactly one side is given; the other is priced by the rate called `rate`."""

    rate: str
    pay: TokenAmount | None = None
    receive: TokenAmount | None = None


class Quote(Model):
    """An offer: whoever pays `pay` receives `receive`, once, in a deal authorised before `expires`.

    `commission` tells how many of the source base units of `pay` are commission, rounded down.
    """

    id: str
    rate: str
    pay: TokenAmount
    receive: TokenAmount
    commission: AmountOrZero
    created: Time
    expires: Time

    def made_from(self, rate: Rate) -> bool:
        """The rate may have been replaced since: a quote is good only for the currencies it names."""
        return (self.rate, self.pay.token, self.receive.token) == (rate.name, rate.source, rate.target)

    def check_open(self, now: datetime) -> None:
        """Raises TooLate once the quote has expired."""
        if now >= self.expires:
            raise TooLate(f"{self.id} expired at {rfc3339(self.expires)}", field="quote", remedy="ask for a new quote")


class AuthorizeRequest(Model):
    """Asks the liquidity desk to authorise its legs of `deal`; the legs paid to it are authorised already."""

    deal: Deal
    authorizations: tuple[LegAuthorization, ...] = ()


def offer(rate: Rate, request: QuoteRequest, now: datetime, lifetime: timedelta) -> Quote:
    """A quote that lives for `lifetime`, but not longer than its rate.

    Raises InvalidInput (both or neither side given, another token, too little, too much), PriceRefused (the rate is
    not in force, or the deal would exceed its limit).
    """
    if not rate.in_force(now):
        period = f"{rfc3339(rate.valid_from)} until {rfc3339(rate.valid_until)}"
        raise PriceRefused(f"{rate.name} is valid from {period}", field="rate", remedy="choose a rate in force")
    pay, receive = _priced(rate, request)
    if receive > rate.limits.per_deal:
        raise PriceRefused(f"{receive} is too much", field="receive", remedy=f"at most {rate.limits.per_deal} a deal")
    created = now.replace(microsecond=0)
    return Quote(
        id=f"quote-{secrets.token_hex(16)}",
        rate=rate.name,
        pay=TokenAmount(token=rate.source, amount=pay),
        receive=TokenAmount(token=rate.target, amount=receive),
        commission=floor(rate.commission.of(pay)),
        created=created,
        expires=min(created + lifetime, rate.valid_until),
    )


def _priced(rate: Rate, request: QuoteRequest) -> tuple[int, int]:
    match request.pay, request.receive:
        case TokenAmount() as given, None:
            pay, receive = given.amount, _other(rate.buys, given, rate.source, "pay")
            if not receive:
                raise InvalidInput(f"{pay} buys nothing", field="pay", remedy=f"pay at least {rate.costs(1)}")
        case None, TokenAmount() as given:
            pay, receive = _other(rate.costs, given, rate.target, "receive"), given.amount
        case _:
            raise InvalidInput("exactly one is needed", field="pay, receive", remedy="give one, leave out the other")
    return pay, receive


def _other(price: Callable[[int], int], given: TokenAmount, token: TokenId, field: str) -> int:
    if given.token != token:
        raise InvalidInput(f"the rate is not for {given.token}", field=f"{field}.token", remedy=f"use {token}")
    amount = price(given.amount)
    if amount > UINT96_MAX:
        raise InvalidInput("the other side would be above 2^96 - 1", field=f"{field}.amount", remedy="choose less")
    return amount


def purchase(
    quote: Quote,
    rate: Rate,
    *,
    payer: AccountId,
    payee: AccountId,
    decide_by: datetime,
    expiry: datetime,
    condition: Condition | None = None,
    cancellable: Cancellable | None = None,
) -> Deal:
    """The deal that takes a quote: leg 0 pays the liquidity account, leg 1 pays `payee` from it.

    Raises InvalidInput naming the field.
    """
    _check_parties(quote, rate, payer, payee)
    try:
        legs = (
            Leg(token=quote.pay.token, payer=payer, payee=rate.receives, amount=quote.pay.amount),
            Leg(token=quote.receive.token, payer=rate.pays, payee=payee, amount=quote.receive.amount),
        )
        return Deal(
            legs=legs,
            condition=condition,
            cancellable=cancellable or Cancellable(),
            decide_by=decide_by,
            expiry=expiry,
            reference=quote.id,
        )
    except ValidationError as error:
        raise InvalidInput.of(error) from error


def _check_parties(quote: Quote, rate: Rate, payer: AccountId, payee: AccountId) -> None:
    if not quote.made_from(rate):
        raise InvalidInput(
            f"the quote is not of {rate.name} as it is now", field="rate", remedy=f"pass the rate {quote.rate}"
        )
    if payer == payee:
        raise InvalidInput("is the payer himself", field="payee", remedy="name another account")
    for field, account in (("payer", payer), ("payee", payee)):
        if account in (rate.receives, rate.pays):
            raise InvalidInput("is a liquidity account of the rate", field=field, remedy="name your own account")
