"""The liquidity desk: it quotes, and authorises the legs it pays when the deal pays it their price at least."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from eth_account.signers.local import LocalAccount
from temporalio import activity

from activities.failures import typed_failures
from connectionchain.authorization import Erc3009, Permit, erc3009_typed_data, sign_erc3009
from connectionchain.deal import Deal, Leg
from connectionchain.errors import BadSignature, InvalidInput, PriceRefused, Refused
from connectionchain.escrow import Terms
from connectionchain.ids import AccountId, TokenId
from connectionchain.model import rfc3339
from connectionchain.network import Network
from connectionchain.rates import AuthorizeRequest, Quote, QuoteRequest, Rate, offer
from connectionchain.settlement import LegAuthorization
from ledger.liquidity import Grant, LiquidityBook

KEY_SIGNATURE = 2 + 2 * 65
"""Characters of a signature made by a key; of any other length it is for the payer's contract to judge."""

Account = tuple[TokenId, AccountId]


@dataclass(frozen=True)
class Sale:
    """In one deal, `amount` target base units go out under `rate`, which asks `price` source base units for them."""

    rate: Rate
    amount: int
    price: int

    @property
    def till(self) -> Account:
        return self.rate.source, self.rate.receives


class LiquidityDesk:
    """Quotes and authorisations for the liquidity accounts in `keys`; tells time by `clock` (with a time zone).

    `hold`: the longest that a deal may lock the desk's money. `quote_lifetime`: how long an offer binds.
    """

    def __init__(
        self,
        book: LiquidityBook,
        network: Network,
        keys: Mapping[AccountId, LocalAccount],
        clock: Callable[[], datetime],
        *,
        hold: timedelta = timedelta(days=1),
        quote_lifetime: timedelta = timedelta(minutes=5),
    ) -> None:
        self.book, self.network, self.keys, self.clock = book, network, keys, clock
        self.hold, self.quote_lifetime = hold, quote_lifetime
        for account, key in keys.items():
            if account.address != key.address.lower():
                raise InvalidInput(
                    f"{account} has the key of {key.address}", field="keys", remedy="give it its own key"
                )

    @activity.defn(name="rates")
    @typed_failures
    async def rates(self) -> list[Rate]:
        """The rates in force."""
        return await self.book.rates(self.clock())

    @activity.defn(name="quote")
    @typed_failures
    async def quote(self, request: QuoteRequest) -> Quote:
        """Prices one side by the other. Raises UnknownName and what `rates.offer` raises."""
        quote = offer(await self.book.rate(request.rate), request, self.clock(), self.quote_lifetime)
        await self.book.add_quote(quote)
        return quote

    @activity.defn(name="authorize")
    @typed_failures
    async def authorize(self, request: AuthorizeRequest) -> tuple[LegAuthorization, ...]:
        """Signs the desk's legs. Asked again for the same deal it signs the same and counts nothing twice.

        Raises InvalidInput (deadlines, nothing to sign, a payer's authorisation is missing), BadSignature, Refused
        (held too long), TooLate (quote), PriceRefused (no rate, a better price, a limit).
        """
        deal, now = request.deal, self.clock()
        ours = [n for n, leg in enumerate(deal.legs) if leg.payer in self.keys]
        if not ours:
            raise InvalidInput("none is paid by this desk", field="legs", remedy="take the payer from a rate in force")
        deal.check_open(now)
        self._check_hold(deal, now)
        await self.book.grant(deal, now, lambda rates, quote: self._decide(request, now, rates, quote))
        return tuple(self._sign(deal, n) for n in ours)

    def _check_hold(self, deal: Deal, now: datetime) -> None:
        latest = now + self.hold
        if deal.expiry > latest:
            message = f"{rfc3339(deal.expiry)} would lock the desk's money for more than {self.hold}"
            raise Refused(message, field="expiry", remedy=f"at the latest {rfc3339(latest)}")

    def _decide(
        self, request: AuthorizeRequest, now: datetime, rates: Sequence[Rate], quote: Quote | None
    ) -> list[Grant]:
        if quote:
            quote.check_open(now)
        usable = [rate for rate in rates if rate.in_force(now) or (quote and quote.made_from(rate))]
        # What the desk pays to itself is no income: it would be bought with the desk's own money.
        own = self.keys.keys() | {account for rate in rates for account in (rate.receives, rate.pays)}
        income = {n: leg for n, leg in enumerate(request.deal.legs) if leg.payer not in own}
        sales = _sales(_sums([leg for leg in request.deal.legs if leg.payer in self.keys]), income, usable, quote)
        tills = {sale.till for sale in sales}
        income = {n: leg for n, leg in income.items() if (leg.token, leg.payee) in tills}
        self._check_authorized(request, income)
        return [grant for sale in sales for grant in _grants(sale, income)]

    def _check_authorized(self, request: AuthorizeRequest, income: Mapping[int, Leg]) -> None:
        """The desk never signs first: until its payers have signed, its money would be locked for nothing."""
        given = {each.leg: each for each in request.authorizations}
        for n, leg in income.items():
            if n not in given:
                message, remedy = f"leg {n} is not authorised by {leg.payer}", "let the payer sign it first"
                raise InvalidInput(message, field="authorizations", remedy=remedy)
            if not self._genuine(request.deal, given[n]):
                remedy = "sign this deal's leg with the payer's key"
                raise BadSignature(f"was not made by {leg.payer}", field=f"authorizations.{n}", remedy=remedy)

    def _genuine(self, deal: Deal, given: LegAuthorization) -> bool:
        leg, authorization = deal.legs[given.leg], given.authorization
        escrow, terms = self.network.chain(leg.chain).escrow, Terms.of(deal, leg)
        match authorization:
            case Erc3009(signature=signature, valid_before=until):
                typed = erc3009_typed_data(terms, escrow, self.network.token(leg.token), until)
            case Permit(terms_signature=signature):
                typed = terms.typed_data(escrow)
            case _:
                return True
        return len(signature) != KEY_SIGNATURE or typed.signer_of(signature) == leg.payer.address

    def _sign(self, deal: Deal, n: int) -> LegAuthorization:
        leg, until = deal.legs[n], int(deal.decide_by.timestamp())
        escrow, token = self.network.chain(leg.chain).escrow, self.network.token(leg.token)
        signed = sign_erc3009(Terms.of(deal, leg), escrow, token, until, self.keys[leg.payer])
        return LegAuthorization(leg=n, authorization=signed)


def _sums(legs: Sequence[Leg]) -> Counter[Account]:
    sums: Counter[Account] = Counter()
    for leg in legs:
        sums[leg.token, leg.payer] += leg.amount
    return sums


def _sales(
    paid: Mapping[Account, int], income: Mapping[int, Leg], rates: Sequence[Rate], quote: Quote | None
) -> list[Sale]:
    """One sale for each token and account the desk pays from; together they cost no more than what comes in."""
    received: Counter[Account] = Counter()
    for leg in income.values():
        received[leg.token, leg.payee] += leg.amount
    sales = [_sale(account, amount, received, rates, quote) for account, amount in paid.items()]
    for till in {sale.till for sale in sales}:
        asked = sum(sale.price for sale in sales if sale.till == till)
        if received[till] < asked:
            message = f"{received[till]} base units of {till[0]} are paid, the price is {asked}"
            raise PriceRefused(message, field="legs", remedy=f"pay {asked - received[till]} more, or ask for a quote")
    return sales


def _sale(
    account: Account, amount: int, received: Mapping[Account, int], rates: Sequence[Rate], quote: Quote | None
) -> Sale:
    fitting = [rate for rate in rates if (rate.target, rate.pays) == account]
    if not fitting:
        raise PriceRefused(f"no rate in force sells {account[0]}", field="legs", remedy="choose a rate in force")
    offers = [Sale(rate, amount, _price(rate, amount, quote)) for rate in fitting]
    offers = [sale for sale in offers if sale.till in received]
    if len({sale.till for sale in offers}) != 1:
        message = f"{'several currencies pay' if offers else 'nothing is paid'} for {account[0]}"
        raise PriceRefused(message, field="legs", remedy="pay one source of one rate, and make a deal for each")
    return min(offers, key=lambda sale: sale.price)


def _price(rate: Rate, amount: int, quote: Quote | None) -> int:
    if quote is None or not quote.made_from(rate):
        return rate.costs(amount)
    if amount > quote.receive.amount:
        message = f"{amount} base units go out, the quote is for {quote.receive.amount}"
        raise PriceRefused(message, field="legs", remedy="keep to the quote, or ask for another")
    return quote.pay.amount


def _grants(sale: Sale, income: Mapping[int, Leg]) -> list[Grant]:
    """Shares the sale among the legs that pay for it, in proportion: its limits count by payer."""
    legs = {n: leg for n, leg in income.items() if (leg.token, leg.payee) == sale.till}
    sums = list(accumulate((leg.amount for leg in legs.values()), initial=0))
    # Shares of running sums: rounded one by one, the shares would not add up to the sale.
    marks = [sale.amount * each // sums[-1] for each in sums]
    return [
        Grant(rate=sale.rate, leg=n, counterparty=leg.payer, amount=after - before)
        for (n, leg), (before, after) in zip(legs.items(), pairwise(marks), strict=True)
    ]
