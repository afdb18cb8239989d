"""Follows a chain's blocks once for everybody: what happened to which escrow entry, what became final, what a
reorganisation took back. Node calls grow with blocks, not with the number of those who wait.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from adapters.base import Incident
from adapters.evm.events import entry_of
from adapters.evm.view import EvmView, block_of
from connectionchain.errors import ConnectionChainError, Unavailable
from connectionchain.evidence import Block

REMEMBERED_FINAL = 64
"""How many final blocks are kept to find out where a reorganisation deeper than finality began."""

REMEMBERED_NEWS = 1_000
"""For so many blocks with news it is known which entries they concern; who asks for older news is told at once."""

SHORTEST_POLL_S, LONGEST_POLL_S = 0.1, 2.0
log = structlog.get_logger()


@dataclass
class Seen:
    """A block that was followed: its hash and the entries it touched."""

    hash: str
    entries: set[str] = field(default_factory=set)


class Follower:
    """`head` and `final` are the newest blocks seen. Run it with `running`; wait with `news`."""

    def __init__(self, view: EvmView, on_incident: Callable[[Incident], Awaitable[None]]) -> None:
        self._view, self._on_incident = view, on_incident
        self.head: Block | None = None
        self.final: Block | None = None
        self._blocks: dict[int, Seen] = {}
        self._news: dict[str, int] = {}
        self._serial = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def running(self, final: Block | None = None) -> AsyncIterator[None]:
        """Follows until the block ends. `final` is a block known to be final from an earlier run."""
        if final:
            self.final, self._blocks[final.number] = final, Seen(final.hash)
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def mark(self) -> int:
        """To be taken before looking at the chain, and given to `news` after."""
        return self._serial

    async def news(self, entries: Iterable[str], mark: int, patience: float, final: int | None = None) -> bool:
        """Waits until one of these entries (ids) was touched, made final or taken back since `mark`, or block number
        `final` is final: True. At most `patience` seconds, because what never reached a block makes no news."""
        wanted = set(entries)

        def told() -> bool:
            reached = final is not None and self.final is not None and self.final.number >= final
            touched = any(self._news.get(each, 0) > mark for each in wanted)
            return reached or touched or mark < self._serial - REMEMBERED_NEWS

        async with self._changed:
            try:
                async with asyncio.timeout(patience):
                    return await self._changed.wait_for(told)
            except TimeoutError:
                return False

    async def _run(self) -> None:
        pause = min(max(self._view.config.block_time / 2, SHORTEST_POLL_S), LONGEST_POLL_S)
        while True:
            try:
                await self.poll()
            except ConnectionChainError as error:
                log.warning("cannot follow", chain=self._view.chain, error=str(error))
            except Exception:
                log.exception("follower failed", chain=self._view.chain)
            await asyncio.sleep(pause)

    async def poll(self) -> None:
        """One look at the head: three calls for a new block, one if there is none."""
        data = await self._view.head()
        head = block_of(data)
        if self.head and head.hash == self.head.hash:
            return
        self._view.node.saw_head(head.number)
        if await self._is_of_the_past(head):
            return
        final = block_of(await self._view.block_data("final"))
        ancestor, dropped = await self._common_ancestor(head, data["parentHash"].to_0x_hex(), final)
        touched = set().union(*(seen.entries for seen in dropped.values())) if dropped else set()
        logs = await self._view.escrow_logs(ancestor + 1, head.number)
        if deep := [number for number in dropped if self.final and number <= self.final.number]:
            await self._make_sure(min(deep), dropped)
            await self._report(min(deep), dropped)
        self._adopt(head, logs, dropped)
        touched |= {entry_of(each) for each in logs} | self._finalized(final)
        self.head = head
        if self.final is None or final.number > self.final.number:  # it stays final even if the chain gets shorter
            self.final = final
            self._blocks.setdefault(final.number, Seen(final.hash))
        await self._tell(touched)

    async def _is_of_the_past(self, head: Block) -> bool:
        """Whether the node is behind what was followed, rather than on another fork: all it has seen is the same."""
        if self.head is None or head.number >= self.head.number:
            return False
        known = [number for number in self._blocks if number <= head.number]
        return not known or await self._hash_of(max(known)) == self._blocks[max(known)].hash

    async def _hash_of(self, number: int) -> str:
        found = await self._view.hash_of(number)
        if found is None:
            raise Unavailable(f"the node that answers now does not know block {number}", field="rpc")
        return found

    async def _common_ancestor(self, head: Block, parent: str, final: Block) -> tuple[int, dict[int, Seen]]:
        """The number of the newest followed block that is still on the chain, and those that are not any more."""
        if not self._blocks:
            return min(final.number, head.number - 1), {}
        dropped: dict[int, Seen] = {}
        for number in sorted(self._blocks, reverse=True):
            seen = self._blocks[number]
            if number == head.number - 1 and seen.hash == parent:
                return number, dropped
            if number < head.number and await self._hash_of(number) == seen.hash:
                return number, dropped
            if number != head.number or seen.hash != head.hash:
                dropped[number] = seen
        return min(self._blocks) - 1, dropped

    def _adopt(self, head: Block, logs: list[Any], dropped: dict[int, Seen]) -> None:
        for number in dropped:
            del self._blocks[number]
        for each in logs:
            seen = self._blocks.setdefault(each["blockNumber"], Seen(each["blockHash"].to_0x_hex()))
            seen.entries.add(entry_of(each))
        self._blocks.setdefault(head.number, Seen(head.hash))

    def _finalized(self, final: Block) -> set[str]:
        """Entries of blocks that have become final; blocks long final are forgotten."""
        old = self.final.number if self.final else -1
        entries = {e for number, seen in self._blocks.items() if old < number <= final.number for e in seen.entries}
        for number in [each for each in self._blocks if each < final.number - REMEMBERED_FINAL]:
            del self._blocks[number]
        return entries

    async def _tell(self, touched: set[str]) -> None:
        async with self._changed:
            self._serial += 1
            recent = {each: at for each, at in self._news.items() if at >= self._serial - REMEMBERED_NEWS}
            self._news = recent | dict.fromkeys(touched, self._serial)
            self._changed.notify_all()

    async def _make_sure(self, number: int, dropped: dict[int, Seen]) -> None:
        """A node that has come to be another chain's would say so too."""
        self._view.node.doubt()
        if await self._hash_of(number) == dropped[number].hash:
            raise Unavailable(f"a node told of another block {number} than there is", field="rpc")

    async def _report(self, number: int, dropped: dict[int, Seen]) -> None:
        entries = {entry for at, seen in dropped.items() if at >= number for entry in seen.entries}
        incident = Incident(self._view.chain, number, dropped[number].hash, frozenset(entries))
        log.error("a final block was replaced", chain=incident.chain, number=number, hash=incident.hash)
        await self._on_incident(incident)
