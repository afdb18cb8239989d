"""An attestor of mandates: keeps its own bill from its own view of the data chain, and signs what that bill says."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from eth_account.signers.local import LocalAccount
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.facts import genuine
from activities.failures import typed_failures
from activities.heart import beating
from activities.orders import MeteringOrder, ReckonOrder
from adapters.base import ChainView
from connectionchain.billing import Dispute, MeterAttestation, Reckoning, Termination, metering_typed_data
from connectionchain.errors import BadSignature, Refused, TooLate, Unavailable, UnknownName
from connectionchain.escrow import Status
from connectionchain.ids import ChainId
from connectionchain.mandate import Mandate, shares
from connectionchain.model import rfc3339
from connectionchain.network import Network
from connectionchain.typed_data import compact
from ledger import usage
from ledger.database import Database
from ledger.metering import metering, remember
from ledger.subscriptions import Subscription, Subscriptions, advance

LATE = timedelta(days=1)
"""How long a termination may be on its way. A consumer who signs an earlier time than his use would not pay for it."""

HELD = {Status.LOCKED, Status.METERED, Status.CLOSED}


class MeterAttestor:
    """Signs with `key` amounts that are due by `database`, its own bill; never less than before."""

    def __init__(
        self,
        key: LocalAccount,
        network: Network,
        views: Mapping[ChainId, ChainView],
        clock: Callable[[], datetime],
        database: Database,
    ) -> None:
        self._key, self._network, self._views = key, network, views
        self._clock, self._database, self._subscriptions = clock, database, Subscriptions(database)

    @activity.defn
    @typed_failures
    async def attest_metering(self, order: MeteringOrder) -> MeterAttestation:
        """Unavailable while its nodes have not seen it all; Refused or BadSignature if they contradict the order."""
        async with beating():
            await self._follow(order.reckon.mandate)
            await self._locked(order.reckon)
            await self._signed_by_consumer(order.reckon)
            await self._agree(order)
        return self._sign(order)

    async def _follow(self, mandate: Mandate) -> None:
        """Brings the bill up to this attestor's newest final block of the data chain, each event once."""
        view = self._view(mandate.usage.chain)
        row, final = await self._subscriptions.subscribe(mandate.id, mandate.usage, mandate), await view.block("final")
        assert row.id is not None
        first = row.next_block
        while first <= final.number:
            look = await view.events([mandate.usage], first, final.number)
            first = look.last + 1
            async with self._database.write() as session:
                await usage.append(session, row.id, mandate, look.found[0])
                await advance(session, [row.id], first, final.time if look.last == final.number else None)

    async def _locked(self, order: ReckonOrder) -> None:
        """What is not locked for good is no part of the cap."""
        view = self._view(order.mandate.chain)
        for number, amount in enumerate(order.entries):
            status = (await view.entry(order.mandate.entry(number, amount), "final")).status
            if status is Status.NONE:
                raise Unavailable(f"entry {number} is not locked yet", field="entries")
            if status not in HELD:
                raise Refused(f"entry {number} is {status.name.lower()}", field="entries")

    async def _signed_by_consumer(self, order: ReckonOrder) -> None:
        view, mandate = self._view(order.mandate.chain), order.mandate
        all_said: list[Termination | Dispute] = [*order.disputes]
        all_said += [order.termination] if order.termination else []
        for said in all_said:
            if not await genuine(view, mandate.consumer, said.typed_data(mandate), said.signature):
                raise forged(said)

    async def _agree(self, order: MeteringOrder) -> None:
        """In one transaction with what is remembered of it, so that a refused dispute leaves no trace."""
        mandate, reckon = order.reckon.mandate, order.reckon
        async with self._database.write() as session:
            row = await self._subscriptions.of(session, mandate.id)
            for each in reckon.disputes:
                await usage.dispute(session, row, each.use)
            ended = await self._ended(session, reckon)
            held = await usage.disputed(session, row)
            due = await usage.reckon(session, row, mandate, sum(reckon.entries), ended or mandate.end, held)
            _compare(order, due, row)
            await remember(session, mandate.id, order.total, ended)

    async def _ended(self, session: AsyncSession, order: ReckonOrder) -> datetime | None:
        """When the consumer ended it; checked against the clock when it is heard of for the first time."""
        if order.termination is None:
            return None
        heard = (await metering(session, order.mandate.id)).end
        at = min(order.termination.at, order.mandate.end)
        if heard is None and at < self._clock() - order.mandate.window - LATE:
            raise TooLate(f"it ended at {rfc3339(at)}, which is too long ago", field="termination")
        return at

    def _sign(self, order: MeteringOrder) -> MeterAttestation:
        """The digests are computed here from the mandate: a digest that was handed in is never signed."""
        reckon, escrow = order.reckon, self._network.chain(order.reckon.mandate.chain).escrow
        typed = [
            metering_typed_data(reckon.mandate.entry(n, amount).id(escrow), share, reckon.closing, escrow)
            for n, (amount, share) in enumerate(zip(reckon.entries, shares(order.total, reckon.entries), strict=True))
        ]
        signatures = tuple(compact(each.sign(self._key)) for each in typed)
        return MeterAttestation(attestor=self._key.address.lower(), signatures=signatures)

    def _view(self, chain: ChainId) -> ChainView:
        if chain not in self._views:
            raise UnknownName(f"this attestor does not watch {chain}", field="chain", remedy="configure its URL")
        return self._views[chain]


def _compare(order: MeteringOrder, due: Reckoning, row: Subscription) -> None:
    """To close, the amount must be what is due to the unit: less would cheat the provider."""
    seen = f"in blocks up to {row.next_block - 1}"
    if order.reckon.closing and not due.final:
        raise Unavailable(f"it is not at its end {seen}", field="closing")
    if order.reckon.closing and order.total != due.payable:
        raise Refused(f"{due.payable} is due in all, not {order.total}", field="total")
    if order.total > due.payable:
        raise Unavailable(f"only {due.payable} is due {seen}, not {order.total}", field="total")


def forged(said: Termination | Dispute) -> BadSignature:
    return BadSignature(
        "the signature is not the consumer's over this mandate",
        field=type(said).__name__.lower(),
        remedy="sign it with the key of the mandate's consumer",
    )
