"""The connection node of a token chain, as far as bills go: locks caps, pays what is due, gives back the rest."""

from collections.abc import Mapping

from temporalio import activity

from activities.driver import Driver, Goal, within
from activities.facts import genuine
from activities.failures import typed_failures
from activities.heart import beating
from activities.metering import forged
from activities.orders import CheckOrder, EntryOrder, MeterOrder
from adapters.base import ChainAdapter, Lock, Meter, Reclaim
from connectionchain.authorization import OnChain
from connectionchain.errors import Rejected, Unavailable
from connectionchain.escrow import EscrowContract, Status
from connectionchain.evidence import EvidenceRecord, Kind, Step
from ledger.outbox import Fate, Outbox

_WAS_LOCKED = within(Status.LOCKED, Status.METERED, Status.CLOSED, Status.RECLAIMED)
_ENDED = within(Status.CLOSED, Status.RECLAIMED)


class Cashier:
    """Activities of one chain. The node's key pays fees only."""

    def __init__(self, chain: ChainAdapter, escrow: EscrowContract, outbox: Outbox, driver: Driver) -> None:
        self._chain, self._escrow, self._outbox, self._driver = chain, escrow, outbox, driver

    @activity.defn
    @typed_failures
    async def lock_entry(self, order: EntryOrder) -> Step:
        """Locks an entry and waits until that is final. Rejected if it cannot be, with nothing left in flight."""
        terms, name = order.mandate.entry(order.number, order.amount), f"{order.mandate.id}/{order.number}/lock"
        if order.authorization is None:
            raise Rejected("the consumer has not authorised it", field="authorization")
        if isinstance(order.authorization, OnChain):
            await self._driver.watch(terms, _WAS_LOCKED, order.mandate.end)
        else:
            await self._driver.drive(name, Lock(terms, order.authorization), [terms], _WAS_LOCKED)
        return (await self._record(name, order, {Kind.LOCKED}))[-1]

    @activity.defn
    @typed_failures
    async def meter(self, order: MeterOrder) -> Step:
        """Pays and waits until that is final. Rejected if the entry has ended otherwise, or cannot be paid out."""
        terms = order.entry.mandate.entry(order.entry.number, order.entry.amount)
        attestations = sorted(order.attestations, key=lambda each: each.attestor)
        signatures = tuple(each.signatures[order.entry.number] for each in attestations)
        name = f"{order.entry.mandate.id}/{order.entry.number}/{'close' if order.close else order.cumulative}"
        operation = Meter(terms, order.cumulative, signatures, order.close)
        await self._driver.drive(name, operation, [terms], _paid(order))
        signers: dict[int | None, tuple[str, ...]] = {order.cumulative: tuple(each.attestor for each in attestations)}
        return (await self._record(name, order.entry, {Kind.METERED, Kind.CLOSED}, signers, order.since))[-1]

    @activity.defn
    @typed_failures
    async def reclaim_entry(self, order: EntryOrder) -> Step:
        """Gives an entry that was not closed in time back to the consumer. Unavailable before its expiry by the chain's
        own clock, which may be behind the engine's."""
        terms, name = order.mandate.entry(order.number, order.amount), f"{order.mandate.id}/{order.number}/reclaim"
        if (await self._chain.block("latest")).time.timestamp() < terms.expiry:
            raise Unavailable("it has not expired by the chain's clock", field="expiry")
        await self._driver.drive(name, Reclaim(terms), [terms], _ENDED)
        return (await self._record(name, order, {Kind.CLOSED, Kind.RECLAIMED}))[-1]

    @activity.defn
    @typed_failures
    async def check(self, order: CheckOrder) -> None:
        """BadSignature unless the consumer signed it."""
        typed = order.said.typed_data(order.mandate)
        if not await genuine(self._chain, order.mandate.consumer, typed, order.said.signature):
            raise forged(order.said)

    async def _record(
        self,
        name: str,
        order: EntryOrder,
        kinds: set[Kind],
        attestors: Mapping[int | None, tuple[str, ...]] | None = None,
        since: int = 0,
    ) -> list[Step]:
        """Marks the operation final and appends its evidence, in one database transaction. `attestors` by the amount
        they signed: an earlier payment that is found along with this one was signed by others."""
        terms = order.mandate.entry(order.number, order.amount)
        async with beating():
            steps = [each for each in await self._chain.history(terms, order.number, since) if each.kind in kinds]
            records = [
                EvidenceRecord(
                    deal=order.mandate.id,
                    escrow_id=terms.id(self._escrow),
                    step=step,
                    token=order.mandate.token,
                    amount=order.amount if step.paid is None else step.paid,
                    attestors=(attestors or {}).get(step.paid, ()),
                )
                for step in steps
            ]
            await self._outbox.finish(name, Fate.FINAL, records)
        return steps


def _paid(order: MeterOrder) -> Goal:
    if order.close:
        return within(Status.CLOSED)
    return lambda entry: entry.status in (Status.METERED, Status.CLOSED) and entry.paid >= order.cumulative
