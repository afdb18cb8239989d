"""Drives escrow entries to a final status: look at the chain, send what is missing, look again.

What the chain says decides what is done next, so a retry, a second worker or a stranger's transaction makes no
difference; and nothing ends while its outcome is unknown.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from activities.heart import beating
from adapters.base import Broadcast, ChainAdapter, Entry, Location, Lock, Operation, Plan, Prepared
from connectionchain.errors import Rejected, Unavailable
from connectionchain.escrow import Status, Terms
from ledger.outbox import Fate, Outbox, OutboxTransaction, Sign, Signed

ENDED = frozenset({Status.RELEASED, Status.REFUNDED, Status.CLOSED, Status.RECLAIMED, Status.CANCELLED})

MOST_RESENT = 8
"""How many earlier transactions of a lane are sent again together with one that waits behind them."""

AT_WORK = 32
"""Operations of one account that ask the chain or sign at a time. The others wait their turn, however many they are:
all at once, none would get an answer in time."""

SIT_OUT_S = 60
"""A trouble of nodes that ends sooner fails no operation."""

Goal = Callable[[Entry], bool]
"""Whether an entry is where it was to be brought."""

Move = Callable[[], Awaitable[int | None]]
"""What is done for entries that are not there yet; the newest block's number if that only has to become final."""

log = structlog.get_logger()


def within(*statuses: Status) -> Goal:
    return lambda entry: entry.status in statuses


class Trouble:
    """What a node's trouble is, and for how long it may go on."""

    def __init__(self) -> None:
        self.what, self._since = "", 0.0

    def goes_on(self, why: Unavailable) -> None:
        """Raises `why` once it has lasted too long."""
        self._since = self._since if self.what else time.monotonic()
        self.what = str(why)
        if time.monotonic() - self._since > SIT_OUT_S:
            raise why

    def is_over(self) -> None:
        self.what = ""


class Driver:
    """One account's hands on one chain. What is not included within `patience` is replaced with a higher fee."""

    def __init__(self, chain: ChainAdapter, outbox: Outbox, patience: timedelta) -> None:
        self._chain, self._outbox, self._patience = chain, outbox, patience
        self._at_work = asyncio.Semaphore(AT_WORK)
        self._lane_resent = -patience.total_seconds()

    async def drive(self, name: str, operation: Operation, entries: Sequence[Terms], goal: Goal) -> None:
        """Returns when every entry has reached `goal`, finally. Raises Rejected when it never will; then nothing of
        this operation is in flight."""

        async def move() -> int | None:
            included = await self._included(entries, goal)
            if included is None:
                await self._send(name, operation, entries, goal)
            return included

        await self._move_until(entries, goal, move)

    async def watch(self, entry: Terms, goal: Goal, until: datetime) -> None:
        """The same for what somebody else sends. Raises Rejected if it is not there when chain time is `until`."""

        async def move() -> None:
            if (await self._chain.block("final")).time >= until:
                raise Rejected("its payer has not locked it in time", field="authorization")

        await self._move_until([entry], goal, move)

    async def send(self, name: str, operation: Operation) -> None:
        """Sends an operation that concerns no entry, or sends it again. Raises Rejected if the chain would refuse."""
        attempts = await self._outbox.attempts(name)
        await self._deliver(name, attempts or await self._claimed(name, await self._chain.plan(operation)))

    async def _move_until(self, entries: Sequence[Terms], goal: Goal, move: Move) -> None:
        """Makes a move whenever there is news, or none for long, until every entry has reached `goal`. A node's short
        trouble is sat out, and told with the heartbeat; a lasting one is the engine's to show and to retry."""
        silence, trouble = 1.0, Trouble()
        async with beating(lambda: trouble.what):
            while True:
                mark, included = self._chain.mark, None
                try:
                    async with self._at_work:
                        mark = self._chain.mark
                        if await self._all_at(goal, entries):
                            return
                        included = await move()
                    trouble.is_over()
                except Unavailable as why:
                    trouble.goes_on(why)
                told = await self._chain.news(entries, mark, included, silence)
                silence = 1.0 if told else self._longer(silence)

    def _longer(self, silence: float) -> float:
        """Without news an operation looks again later and later, but in time to replace its transaction."""
        return max(1.0, min(2 * silence, self._patience / self._chain.pause))

    async def _all_at(self, goal: Goal, entries: Sequence[Terms]) -> bool:
        final = [await self._chain.entry(terms, "final") for terms in entries]
        for entry in final:
            if entry.status in ENDED and not goal(entry):
                raise Rejected(f"the escrow entry is {entry.status.name.lower()} already", field="leg")
        return all(map(goal, final))

    async def _included(self, entries: Sequence[Terms], goal: Goal) -> int | None:
        """The newest block's number if it has it all: then it only has to become final. An entry that has ended
        otherwise counts as well: that, too, must become final before anything is concluded from it."""
        latest = [await self._chain.entry(terms, "latest") for terms in entries]
        if all(goal(entry) or entry.status in ENDED for entry in latest):
            return max(entry.block.number for entry in latest)
        return None

    async def _send(self, name: str, operation: Operation, entries: Sequence[Terms], goal: Goal) -> None:
        attempts = await self._outbox.attempts(name)
        if not attempts:
            try:
                plan = await self._chain.plan(operation)
            except Rejected as why:
                if await self._included(entries, goal) is not None:
                    return  # somebody else was faster
                if not isinstance(operation, Lock):
                    await self._check_all_known(entries, why)
                raise
            attempts = await self._claimed(name, plan)
        await self._deliver(name, attempts)

    async def _claimed(self, name: str, plan: Plan) -> list[OutboxTransaction]:
        return await self._outbox.claim(name, await self._chain.sequence(), plan.content, self._sign(plan))

    async def _check_all_known(self, entries: Sequence[Terms], why: Rejected) -> None:
        """What is decided was locked for good: a node that does not know the lock is behind, and its word no verdict.
        Raises Unavailable."""
        for terms in entries:
            if (await self._chain.entry(terms, "latest")).status is Status.NONE:
                raise Unavailable(f"the node does not know of the lock: {why.message}", field="rpc") from why

    async def _deliver(self, name: str, attempts: list[OutboxTransaction]) -> None:
        """Sends the stored bytes again until one attempt is located; gives up what was reverted or displaced."""
        locations = [await self._chain.locate(each.hash) for each in attempts]
        if Location.INCLUDED in locations:
            return
        if Location.REVERTED in locations:
            await self._outbox.finish(name, Fate.DEAD)
            return
        last = attempts[-1]
        if last.age > self._patience / 2:
            await self._resend_lane(last.sequence)
        if last.age > self._patience and await self._is_stuck(last):
            last = await self._replaced(last)
        if await self._chain.broadcast(_prepared(last)) is Broadcast.CONFLICT:
            await self._give_up_if_displaced(name, last)

    async def _is_stuck(self, last: OutboxTransaction) -> bool:
        """Whether a higher fee would help: further back in its lane a transaction waits for those before it."""
        near = last.sequence < await self._chain.sequence() + MOST_RESENT
        return near or await self._chain.is_too_cheap(Plan(last.plan))

    async def _replaced(self, last: OutboxTransaction) -> OutboxTransaction:
        plan = await self._chain.raised(Plan(last.plan))
        if plan is None:
            log.error("fee cap reached, still trying", operation=last.operation, transaction=last.hash)
            return last
        log.warning("replacing a transaction that is not included", operation=last.operation, transaction=last.hash)
        return await self._outbox.replace(last, plan.content, self._sign(plan))

    async def _resend_lane(self, before: int) -> None:
        """What waits before this one in its lane must go first, for a higher fee if need be, even if nobody asks for it
        any more. Once for all who wait behind it."""
        now = time.monotonic()
        if now - self._lane_resent < self._patience.total_seconds() / 2:
            return
        self._lane_resent = now
        for each in (await self._outbox.waiting(await self._chain.sequence(), before))[:MOST_RESENT]:
            cheap = each.age > self._patience and await self._chain.is_too_cheap(Plan(each.plan))
            await self._chain.broadcast(_prepared(await self._replaced(each) if cheap else each))

    async def _give_up_if_displaced(self, name: str, last: OutboxTransaction) -> None:
        """A stranger's use of our account took its place for good: the operation will be planned anew."""
        if await self._chain.displaced(last.sequence):
            located = [await self._chain.locate(each.hash) for each in await self._outbox.attempts(name)]
            if all(each is Location.ABSENT for each in located):
                log.error("account used by somebody else", operation=name, sequence=last.sequence)
                await self._outbox.finish(name, Fate.DEAD)

    def _sign(self, plan: Plan) -> Sign:
        def sign(sequence: int) -> Signed:
            prepared = self._chain.sign(plan, sequence)
            return Signed(hash=prepared.transaction, raw=prepared.raw)

        return sign


def _prepared(stored: OutboxTransaction) -> Prepared:
    return Prepared(stored.sequence, stored.hash, stored.raw)
