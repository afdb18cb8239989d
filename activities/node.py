"""The connection node of one chain: carries out ledger operations and records their evidence."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from temporalio import activity

from activities.driver import Driver, within
from activities.failures import typed_failures
from activities.heart import beating
from activities.orders import GiveBackOrder, LockOrder, ReleaseOrder
from adapters.base import ChainAdapter, Lock, Reclaim, Refund, Release
from connectionchain.authorization import OnChain
from connectionchain.certificate import Certificate, settlements
from connectionchain.deal import Deal
from connectionchain.errors import Rejected, Unavailable
from connectionchain.escrow import EscrowContract, Status, Terms
from connectionchain.evidence import EvidenceRecord, Kind, Step
from ledger.outbox import Fate, Outbox

_WAS_LOCKED = within(Status.LOCKED, Status.RELEASED, Status.REFUNDED, Status.RECLAIMED)
_RELEASED = within(Status.RELEASED)
BACK = within(Status.REFUNDED, Status.RECLAIMED, Status.CANCELLED)

log = structlog.get_logger()


class ConnectionNode:
    """Activities of one chain. The node's key pays fees only; assets move by the parties' and attestors' signatures."""

    def __init__(self, chain: ChainAdapter, escrow: EscrowContract, outbox: Outbox, driver: Driver) -> None:
        self._chain, self._escrow, self._outbox, self._driver = chain, escrow, outbox, driver

    @activity.defn
    @typed_failures
    async def lock(self, order: LockOrder) -> Step:
        """Locks a leg and waits until that is final. Rejected if it cannot be, with nothing left in flight.
        An entry that has ended since was locked as well: the deal may have been taken up again."""
        deal, leg = order.deal, order.leg
        name, terms = f"{deal.id}/{leg}/lock", Terms.of(deal, deal.legs[leg])
        if isinstance(order.authorization, OnChain):
            await self._driver.watch(terms, _WAS_LOCKED, deal.decide_by)
        else:
            await self._driver.drive(name, Lock(terms, order.authorization), [terms], _WAS_LOCKED)
        return (await self._record(name, deal, [leg], {Kind.LOCKED}))[-1]

    @activity.defn
    @typed_failures
    async def release(self, order: ReleaseOrder) -> list[Step]:
        """Pays legs out and waits until that is final. Rejected if one was reclaimed because it took too long."""
        deal, legs = order.deal, order.settlement.legs
        terms = tuple(Terms.of(deal, deal.legs[n]) for n in legs)
        operation = Release(terms, tuple(order.certificate.signatures(deal, order.settlement)))
        name = f"{deal.id}/{'+'.join(map(str, legs))}/release"
        await self._driver.drive(name, operation, terms, _RELEASED)
        return await self._record(name, deal, legs, {Kind.RELEASED}, order.certificate.attestors)

    @activity.defn
    @typed_failures
    async def give_back(self, order: GiveBackOrder) -> Step:
        """Returns a leg that was locked to its payer and waits until that is final. Unavailable while the node does
        not know of the lock. Where a refund is not to be had, the reclaim is, from expiry by chain time on."""
        terms = Terms.of(order.deal, order.deal.legs[order.leg])
        if order.certificate:
            try:
                return await self._refund(order, order.certificate)
            except Rejected as why:
                log.warning("no refund, to be reclaimed", deal=order.deal.id, leg=order.leg, why=why.message)
        await self._expired(terms, order.deal.expiry)
        return await self._reclaim(order)

    async def _refund(self, order: GiveBackOrder, certificate: Certificate) -> Step:
        deal, leg = order.deal, order.leg
        (settlement,) = (each for each in settlements(deal, certificate.outcome) if each.legs == (leg,))
        terms, name = Terms.of(deal, deal.legs[leg]), f"{deal.id}/{leg}/refund"
        operation = Refund(terms, tuple(certificate.signatures(deal, settlement)))
        await self._driver.drive(name, operation, [terms], BACK)
        return (await self._record(name, deal, [leg], set(_BACK_KINDS), certificate.attestors))[-1]

    async def _reclaim(self, order: GiveBackOrder) -> Step:
        terms, name = Terms.of(order.deal, order.deal.legs[order.leg]), f"{order.deal.id}/{order.leg}/reclaim"
        await self._driver.drive(name, Reclaim(terms), [terms], BACK)
        return (await self._record(name, order.deal, [order.leg], set(_BACK_KINDS)))[-1]

    async def _expired(self, terms: Terms, expiry: datetime) -> None:
        """Waits until chain time is `expiry`, or the entry is settled by somebody else before."""
        async with beating():
            while True:
                mark, seen = self._chain.mark, await self._chain.entry(terms, "latest")
                if seen.status is not Status.LOCKED or seen.block.time >= expiry:
                    return
                await self._chain.news([terms], mark)

    async def _record(
        self, name: str, deal: Deal, legs: Sequence[int], kinds: set[Kind], attestors: tuple[str, ...] = ()
    ) -> list[Step]:
        """Marks the operation final and appends its evidence, in one database transaction. Unavailable if the node
        asked now is behind the one that showed it final."""
        async with beating():  # thousands may become final with one block
            records = [
                self._evidence(deal, step, attestors if step.kind in _DECIDED else ())
                for leg in legs
                for step in await self._chain.history(Terms.of(deal, deal.legs[leg]), leg)
                if step.kind in kinds
            ]
            if {record.step.leg for record in records} != set(legs):
                raise Unavailable("the node does not show the final events yet", field="rpc")
            await self._outbox.finish(name, Fate.FINAL, records)
        return [record.step for record in records]

    def _evidence(self, deal: Deal, step: Step, attestors: tuple[str, ...]) -> EvidenceRecord:
        leg = deal.legs[step.leg]
        return EvidenceRecord(
            deal=deal.id,
            escrow_id=Terms.of(deal, leg).id(self._escrow),
            step=step,
            token=leg.token,
            amount=leg.amount,
            attestors=attestors,
        )


_BACK_KINDS = (Kind.REFUNDED, Kind.RECLAIMED, Kind.CANCELLED)
_DECIDED = (Kind.RELEASED, Kind.REFUNDED)
