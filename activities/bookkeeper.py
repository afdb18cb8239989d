"""The connection node of a data chain, as far as bills go: follows use, says what is due."""

import structlog
from temporalio import activity

from activities.failures import typed_failures
from activities.heart import beating
from activities.orders import HoldOrder, ReckonOrder, SubscribeOrder
from adapters.base import ChainView
from connectionchain.billing import Reckoning, Uses, UsesWanted
from connectionchain.errors import Unavailable
from connectionchain.mandate import Mandate
from ledger import usage
from ledger.database import Database
from ledger.subscriptions import Subscriptions

log = structlog.get_logger()


class Bookkeeper:
    """Of one chain. The watch fills the bills; here they are opened, closed and read."""

    def __init__(self, chain: ChainView, database: Database) -> None:
        self._chain, self._database, self._subscriptions = chain, database, Subscriptions(database)

    @activity.defn
    @typed_failures
    async def subscribe(self, order: SubscribeOrder) -> None:
        """Once, however often it is asked for."""
        await self._subscriptions.subscribe(order.subscriber, order.filter, order.mandate, order.detailed)

    @activity.defn
    async def unsubscribe(self, subscriber: str) -> None:
        """A bill stays on record."""
        await self._subscriptions.unsubscribe(subscriber)

    @activity.defn
    @typed_failures
    async def reckon(self, order: ReckonOrder) -> Reckoning:
        """What is payable now. `closing` raises Unavailable while that may still become more. Whoever asks lives: its
        use is followed, should the watch have taken it for ended; and counted again, if the bill is `doubted`."""
        await self._subscriptions.subscribe(order.mandate.id, order.mandate.usage, order.mandate)
        if order.doubted:
            async with beating():
                await self._recount(order.mandate)
        async with self._database.write() as session:
            row = await self._subscriptions.of(session, order.mandate.id)
            end = min(order.mandate.end, order.termination.at) if order.termination else order.mandate.end
            held = [each.use for each in order.disputes]  # and no other: nobody could show the attestors his signature
            due = await usage.reckon(session, row, order.mandate, sum(order.entries), end, held)
        if order.closing and not due.final:
            raise Unavailable("more use may still become payable", field="closing")
        return due

    async def _recount(self, mandate: Mandate) -> None:
        """Counts on the chain the uses that the bill should have. One that has others could never be closed: it begins
        anew."""
        async with self._database.read() as session:
            row = await self._subscriptions.of(session, mandate.id)
            billed = await usage.billed(session, row, row.next_block)
        first, seen = mandate.usage.since, 0
        while first < row.next_block:
            look = await self._chain.events([mandate.usage], first, row.next_block - 1)
            first, seen = look.last + 1, seen + len(look.found[0])
        if seen == billed:
            return
        log.error(
            "the chain has other uses than the bill, which begins anew", mandate=mandate.id, has=seen, bill=billed
        )
        async with self._database.write() as session:
            await usage.begin_anew(session, await self._subscriptions.of(session, mandate.id), mandate)

    @activity.defn
    @typed_failures
    async def hold(self, order: HoldOrder) -> None:
        """Holds the price of one use back. UnknownName if there is none, TooLate once it is payable."""
        async with self._database.write() as session:
            row = await self._subscriptions.of(session, order.mandate.id)
            await usage.disputable(session, row, order.mandate, order.use)
            await usage.dispute(session, row, order.use)

    @activity.defn
    @typed_failures
    async def uses(self, wanted: UsesWanted) -> Uses:
        """A page of a bill."""
        return Uses(uses=tuple(await usage.uses(self._database, wanted)))
