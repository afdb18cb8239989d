"""Drives escrow entries to a final status: look at the chain, send what is missing, look again.

What the chain says decides what is done next, so a retry, a second worker or a stranger's transaction makes no
difference; and nothing ends while its outcome is unknown.
"""

from collections.abc import Sequence
from datetime import datetime

from temporalio import activity

from adapters.base import Broadcast, ChainAdapter, Location, Operation, Prepared
from connectionchain.errors import Rejected
from connectionchain.escrow import Status, Terms
from ledger.outbox import Fate, Outbox, OutboxTransaction, Signed

ENDED = frozenset({Status.RELEASED, Status.REFUNDED, Status.CLOSED, Status.RECLAIMED, Status.CANCELLED})


class Driver:
    """One account's hands on one chain."""

    def __init__(self, chain: ChainAdapter, outbox: Outbox) -> None:
        self._chain, self._outbox = chain, outbox

    async def drive(self, name: str, operation: Operation, entries: Sequence[Terms], goal: frozenset[Status]) -> None:
        """Returns when every entry's status is in `goal` and final. Raises Rejected when it never will be; then
        nothing of this operation is in flight."""
        while True:
            block = await self._chain.block("latest")
            if await self._all_in(goal, entries):
                return
            if not await self._none_missing(entries, goal):
                await self._send(name, operation, entries, goal)
            activity.heartbeat(block.number)
            await self._chain.next_block(block)

    async def watch(self, entry: Terms, goal: frozenset[Status], until: datetime) -> None:
        """The same for what somebody else sends. Raises Rejected if it is not there when chain time is `until`."""
        while not await self._all_in(goal, [entry]):
            block = await self._chain.block("final")
            if block.time >= until:
                raise Rejected("the payer has not locked it in time", field="authorization", remedy="make a new deal")
            activity.heartbeat(block.number)
            await self._chain.next_block(await self._chain.block("latest"))

    async def _all_in(self, goal: frozenset[Status], entries: Sequence[Terms]) -> bool:
        final = [(await self._chain.entry(terms, "final")).status for terms in entries]
        for status in final:
            if status in ENDED - goal:
                raise Rejected(f"the escrow entry is {status.name.lower()} already", field="leg")
        return all(status in goal for status in final)

    async def _none_missing(self, entries: Sequence[Terms], goal: frozenset[Status]) -> bool:
        """Whether the newest block has it all: then it only has to become final. An entry that has ended
        otherwise counts as well: that, too, must become final before anything is concluded from it."""
        latest = [(await self._chain.entry(terms, "latest")).status for terms in entries]
        return all(status in goal | ENDED for status in latest)

    async def _send(self, name: str, operation: Operation, entries: Sequence[Terms], goal: frozenset[Status]) -> None:
        sent = await self._outbox.live(name)
        if sent is None:
            try:
                plan = await self._chain.plan(operation)
            except Rejected:
                if await self._none_missing(entries, goal):
                    return  # somebody else was faster
                raise
            sequence = await self._chain.sequence()
            sent = await self._outbox.claim(name, sequence, lambda n: _signed(self._chain.sign(plan, n)))
        await self._deliver(name, sent)

    async def _deliver(self, name: str, sent: OutboxTransaction) -> None:
        """Sends the stored bytes again until they are located; a reverted or displaced transaction is given up."""
        location = await self._chain.locate(sent.hash)
        if location is Location.REVERTED:
            await self._outbox.finish(name, Fate.DEAD)
        elif location is Location.ABSENT:
            prepared = Prepared(sent.account, sent.sequence, sent.hash, sent.raw)
            if await self._chain.broadcast(prepared) is Broadcast.CONFLICT:
                await self._give_up_if_displaced(name, sent)

    async def _give_up_if_displaced(self, name: str, sent: OutboxTransaction) -> None:
        if await self._chain.displaced(sent.sequence) and await self._chain.locate(sent.hash) is Location.ABSENT:
            await self._outbox.finish(name, Fate.DEAD)


def _signed(prepared: Prepared) -> Signed:
    return Signed(hash=prepared.transaction, raw=prepared.raw)
