"""The connection node of a data chain, as far as bills go: follows use, says what is due."""

from temporalio import activity

from activities.failures import typed_failures
from activities.orders import HoldOrder, ReckonOrder, SubscribeOrder
from connectionchain.billing import Reckoning, Uses, UsesWanted
from connectionchain.errors import Unavailable
from ledger import usage
from ledger.database import Database
from ledger.subscriptions import Subscriptions


class Bookkeeper:
    """Of one chain. The watch fills the bills; here they are opened, closed and read."""

    def __init__(self, database: Database) -> None:
        self._database, self._subscriptions = database, Subscriptions(database)

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
        use is followed, should the watch have taken it for ended."""
        await self._subscriptions.subscribe(order.mandate.id, order.mandate.usage, order.mandate)
        async with self._database.write() as session:
            row = await self._subscriptions.of(session, order.mandate.id)
            end = min(order.mandate.end, order.termination.at) if order.termination else order.mandate.end
            held = [each.use for each in order.disputes]  # and no other: nobody could show the attestors his signature
            due = await usage.reckon(session, row, order.mandate, sum(order.entries), end, held)
        if order.closing and not due.final:
            raise Unavailable("more use may still become payable", field="closing")
        return due

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
