"""The client: quotes, deals, and what the chains tell of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from eth_account.signers.base import BaseAccount
from eth_account.signers.local import LocalAccount

from connectionchain import onchain, transactions
from connectionchain.accounts import HANDLE
from connectionchain.certificate import Certificate
from connectionchain.client.accounts import Accounts
from connectionchain.client.amounts import account, details, summary
from connectionchain.client.checks import before_start, finality_seconds
from connectionchain.client.config import find_network
from connectionchain.client.desk import Desk
from connectionchain.client.engine import Engine
from connectionchain.client.evidence import export
from connectionchain.client.listing import DealSummary, query
from connectionchain.client.mandates import Mandates
from connectionchain.client.signing import authorizations, statement
from connectionchain.conditions import Confirmed
from connectionchain.deal import SETTLEMENT_MARGIN, Cancellable, Deal
from connectionchain.errors import Refused
from connectionchain.export import Export
from connectionchain.ids import AccountId, ChainId
from connectionchain.mandate import Agreement, Mandate
from connectionchain.network import Network
from connectionchain.rates import Quote, Rate, purchase
from connectionchain.reconciliation import ReconciliationReport
from connectionchain.settlement import Explanation, LegAuthorization, SettlementStart, State

DECIDE_WITHIN = timedelta(minutes=10)
POLL_SECONDS = 1.0

Between = tuple[datetime | None, datetime | None]
ANY: Between = (None, None)


class Client:
    """Starts, authorises, confirms, cancels and follows deals. A deal is given itself or by its id.

    Every method raises `connectionchain.errors`: Unavailable if the engine, its workers or a chain do not answer,
    UnknownName for a deal the engine does not know, and what is named beside it.
    """

    def __init__(self, network: Network, engine: Engine) -> None:
        self.network, self.engine, self.desk = network, engine, Desk(network, engine)
        self.mandates = Mandates(network, engine)
        self.accounts = Accounts(engine)

    @classmethod
    async def connect(cls, network: Network | Path | str | None = None) -> Self:
        """`network`: itself, its file, or None for CONNECTIONCHAIN_NETWORK or the file in the working directory."""
        if not isinstance(network, Network):
            network = Network.load(find_network(network))
        return cls(network, await Engine.connect(network.engine))

    async def rates(self) -> list[Rate]:
        """The exchange rates in force."""
        return await self.desk.rates()

    async def quote(self, pay: str, receive: str, rate: str | None = None) -> Quote:
        """What it costs: `quote("12.50 A", "B")` or `quote("A", "10 B")`. Raises InvalidInput, PriceRefused."""
        return await self.desk.quote(pay, receive, rate)

    async def pay(
        self, quote: Quote, key: BaseAccount, payee: str, *, decide_within: timedelta = DECIDE_WITHIN
    ) -> Deal:
        """Takes a quote: locks the payer's and the desk's money until `payee` confirms or cancels, or the time is up.

        `payee` is a CAIP-10 account, an address on the chain of the currency received, or a user of the account book.
        Raises InvalidInput, UnknownName (the user), TooLate (the quote), PriceRefused, InsufficientFunds.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        quote.check_open(now)
        deal = await self._purchase(quote, key, payee, now + decide_within)
        own = authorizations(self.network, deal, key)
        await before_start(self.network, deal, own)  # before the desk counts the deal against its limits
        await self.start(deal, [*own, *await self.desk.authorize(deal, own)])
        return deal

    async def _purchase(self, quote: Quote, key: BaseAccount, payee: str, decide_by: datetime) -> Deal:
        source, target = quote.pay.token.chain, quote.receive.token.chain
        shop = await self._payee(target, payee)
        finality = await finality_seconds(self.network, (source, target))
        return purchase(
            quote,
            await self.desk.rate(quote.rate),
            payer=AccountId(f"{source}:{key.address}"),
            payee=shop,
            decide_by=decide_by,
            expiry=decide_by + max(SETTLEMENT_MARGIN, timedelta(seconds=int(3 * finality))),
            condition=Confirmed(by=shop),
            cancellable=Cancellable(by=(shop,)),
        )

    async def _payee(self, chain: ChainId, who: AccountId | str) -> AccountId:
        if re.fullmatch(HANDLE, who) and not who.startswith("0x"):
            return await self.accounts.on(chain, who)
        return account(who if ":" in who else f"{chain}:{who}", "payee")

    async def start(self, deal: Deal, authorizations: Sequence[LegAuthorization] = ()) -> Deal:
        """Starts a deal, or attaches to it if it was started before. Payers may authorise now or later.

        Raises InvalidInput (times, chains, tokens), BadSignature, InsufficientFunds.
        """
        if await self.engine.knows(deal.id):
            return deal
        await before_start(self.network, deal, authorizations)
        attestors = self.network.attestors
        start = SettlementStart(
            deal=deal,
            authorizations=tuple(authorizations),
            attestors=tuple(attestors.members),
            threshold=attestors.threshold,
        )
        await self.engine.start(start, summary(self.network, deal), details(self.network, deal))
        return deal

    async def authorize(self, deal: Deal | str, key: BaseAccount) -> Explanation:
        """Signs every leg the key pays (ERC-3009). Raises NotEntitled, InsufficientFunds, TooLate."""
        deal = await self.deal(deal)
        own = authorizations(self.network, deal, key)
        await before_start(self.network, deal, own)
        explanations = [await self.engine.update(deal.id, "authorize", each) for each in own]
        return explanations[-1]

    async def confirm(self, deal: Deal | str, key: BaseAccount | None = None) -> Explanation:
        """Confirms with the key of a party, or as a trusted operator without one. Raises NotEntitled, TooLate."""
        deal = await self.deal(deal)
        return await self.engine.update(deal.id, "confirm", statement("confirmation", deal, key))

    async def cancel(self, deal: Deal | str, key: BaseAccount | None = None) -> Explanation:
        """Cancels: everything locked goes back. Raises NotEntitled, TooLate, AlreadyDecided."""
        deal = await self.deal(deal)
        return await self.engine.update(deal.id, "cancel", statement("cancellation", deal, key))

    async def deal(self, deal: Deal | str) -> Deal:
        """The deal of an id."""
        return deal if isinstance(deal, Deal) else await self.engine.deal(deal)

    async def deals(
        self,
        state: State | None = None,
        party: AccountId | None = None,
        chain: str | None = None,
        started: Between = ANY,
        closed: Between = ANY,
        limit: int = 100,
    ) -> list[DealSummary]:
        """The newest deals first. `started` and `closed` are (not before, before); what runs still is not closed."""
        chain_id: ChainId | None = self.network.chain(chain).id if chain else None
        return await self.engine.deals(query(state, party, chain_id, started, closed), limit)

    async def explain(self, deal: Deal | str) -> Explanation:
        """Where it stands: state, what it waits for and until when, what comes next, the steps so far."""
        return await self.engine.explain(_id(deal))

    async def follow(self, deal: Deal | str, interval: float = POLL_SECONDS) -> AsyncIterator[Explanation]:
        """Each explanation that differs from the one before, up to the terminal one; asks every `interval` seconds."""
        last: Explanation | None = None
        while last is None or not last.state.terminal:
            if last is not None:
                await asyncio.sleep(interval)
            now = await self.explain(deal)
            if now != last:
                yield now
            last = now

    async def result(self, deal: Deal | str, timeout: float | None = None) -> Explanation:
        """Waits for the end of a deal: the engine's long poll, no polling of ours. `timeout` in seconds."""
        return await self.engine.result(_id(deal), timeout)

    async def record(self, deal: Agreement | str) -> onchain.Record:
        """What the chains tell, transaction by transaction (the paper's Figure 4)."""
        return await onchain.record(self.network, deal)

    async def evidence(self, deal: Agreement | str, certificate: Certificate | None = None) -> Export:
        """All evidence of a deal or mandate with its proofs: `.write()` gives the file for `evidence verify`. Raises
        BadProof."""
        if isinstance(deal, str):
            deal = await self.engine.agreement(deal)
        if isinstance(deal, Mandate):
            return await export(self.network, deal)
        return await export(self.network, deal, certificate or (await self.explain(deal)).certificate)

    async def reconcile(self) -> ReconciliationReport:
        """Compares chains, evidence and workflows now, and puts right what is safe. Takes as long as it takes."""
        return await self.engine.reconcile([chain.id for chain in self.network.chains.values()])

    async def settle(
        self, deal: Deal | str, key: LocalAccount, certificate: Certificate | None = None
    ) -> list[transactions.Sent]:
        """Carries a decision out on the chains, as anybody may; harmless twice. Raises Refused while undecided."""
        deal = await self.deal(deal)
        certificate = certificate or (await self.explain(deal)).certificate
        if certificate is None:
            raise Refused("it is not decided yet", field="deal", remedy="see `connectionchain deals show`")
        return await transactions.settle(self.network, deal, certificate, key)


def _id(deal: Deal | str) -> str:
    return deal if isinstance(deal, str) else deal.id
