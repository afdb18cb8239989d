"""The liquidity desk's offers: rates, quotes, and its signature under the legs it pays."""

from collections.abc import Sequence
from datetime import UTC, datetime

from connectionchain.client.amounts import side
from connectionchain.client.engine import Engine
from connectionchain.deal import Deal
from connectionchain.errors import InvalidInput, PriceRefused, UnknownName
from connectionchain.ids import TokenId
from connectionchain.network import Network
from connectionchain.rates import TASK_QUEUE, AuthorizeRequest, Quote, QuoteRequest, Rate
from connectionchain.settlement import LegAuthorization


class Desk:
    """Asks the desk behind the engine's `liquidity` queue. Raises Unavailable if nobody works there."""

    def __init__(self, network: Network, engine: Engine) -> None:
        self._network, self._engine = network, engine

    async def rates(self) -> list[Rate]:
        """The rates in force."""
        return list(await self._engine.ask(TASK_QUEUE, "rates", result=list[Rate]))

    async def rate(self, name: str) -> Rate:
        rates = {rate.name: rate for rate in await self.rates()}
        if name not in rates:
            raise UnknownName(
                f"no rate {name!r} is in force", field="rate", remedy=f"known: {', '.join(sorted(rates)) or 'none'}"
            )
        return rates[name]

    async def quote(self, pay: str, receive: str, rate: str | None) -> Quote:
        """Exactly one of `pay` and `receive` has an amount: ("12.50 A", "B") or ("A", "10 B")."""
        source, paid = side(self._network, pay, "pay")
        target, received = side(self._network, receive, "receive")
        if (paid is None) == (received is None):
            raise InvalidInput(
                "exactly one side has an amount", field="pay, receive", remedy="such as pay '12.50 A', receive 'B'"
            )
        name = rate or await self._rate_between(source.id, target.id)
        request = QuoteRequest(rate=name, pay=paid, receive=received)
        return Quote.model_validate(await self._engine.ask(TASK_QUEUE, "quote", request, result=Quote))

    async def authorize(self, deal: Deal, given: Sequence[LegAuthorization]) -> list[LegAuthorization]:
        """The desk's own authorisations, if the deal is at a price it offers."""
        request = AuthorizeRequest(deal=deal, authorizations=tuple(given))
        return list(await self._engine.ask(TASK_QUEUE, "authorize", request, result=list[LegAuthorization]))

    async def _rate_between(self, source: TokenId, target: TokenId) -> str:
        now = datetime.now(UTC)
        for rate in await self.rates():
            if (rate.source, rate.target) == (source, target) and rate.in_force(now):
                return rate.name
        raise PriceRefused(
            f"no rate in force sells {target} for {source}", field="rate", remedy="see `connectionchain rates list`"
        )
