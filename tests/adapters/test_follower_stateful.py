"""The follower against a model chain that grows, forks, lags and fails: nobody's news is ever missed, and a chain
is accused of breaking its promise exactly when it has."""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.base import Incident
from adapters.evm.follower import Follower
from connectionchain.errors import Unavailable

DEPTH = 4
"""Blocks up to `head - DEPTH + 1` are final."""

ENTRIES = tuple("0x" + keccak(text=name).hex() for name in "pqrs")
entries = st.lists(st.sampled_from(ENTRIES), max_size=2, unique=True)


@dataclass(frozen=True)
class ModelBlock:
    number: int
    hash: HexBytes
    parent: HexBytes
    entries: tuple[str, ...]

    @property
    def header(self) -> dict[str, Any]:
        return {"number": self.number, "hash": self.hash, "parentHash": self.parent, "timestamp": 1_700_000_000}


@dataclass
class ModelChain:
    """What an `EvmView` shows the follower. A node that lags by `behind` blocks shows an older head."""

    blocks: list[ModelBlock] = field(default_factory=list)
    behind: int = 0
    fails_after: int | None = None
    chain: str = "eip155:1"
    serial: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(block_time=1.0)
        self.node = SimpleNamespace(saw_head=lambda number: None, doubt=lambda: None)

    def mine(self, *touched: str) -> None:
        parent = self.blocks[-1].hash if self.blocks else HexBytes(bytes(32))
        hash_ = HexBytes(keccak(text=f"block {next(self.serial)}"))
        self.blocks.append(ModelBlock(len(self.blocks), hash_, parent, touched))

    def fork(self, depth: int, contents: list[list[str]]) -> None:
        del self.blocks[len(self.blocks) - depth :]
        for touched in contents:
            self.mine(*touched)

    @property
    def shown(self) -> list[ModelBlock]:
        return self.blocks[: max(1, len(self.blocks) - self.behind)]

    @property
    def final_number(self) -> int:
        return max(0, len(self.shown) - DEPTH)

    def story(self, entry: str) -> tuple[tuple[HexBytes, ...], int]:
        """What a look at an entry tells: the blocks it was touched in, and how many of those are final."""
        at = [block for block in self.shown if entry in block.entries]
        return tuple(block.hash for block in at), sum(block.number <= self.final_number for block in at)

    # what the follower asks

    async def head(self) -> dict[str, Any]:
        self._answer()
        return self.shown[-1].header

    async def block_data(self, depth: str) -> dict[str, Any]:
        self._answer()
        return self.shown[self.final_number if depth == "final" else -1].header

    async def hash_of(self, number: int) -> str | None:
        self._answer()
        return self.shown[number].hash.to_0x_hex() if number < len(self.shown) else None

    async def escrow_logs(self, first: int, last: int) -> list[dict[str, Any]]:
        self._answer()
        return [
            {"blockNumber": block.number, "blockHash": block.hash, "topics": [HexBytes(bytes(32)), HexBytes(entry)]}
            for block in self.shown[max(0, first) : last + 1]
            for entry in block.entries
        ]

    def _answer(self) -> None:
        if self.fails_after is not None:
            self.fails_after -= 1
            if self.fails_after < 0:
                raise Unavailable("the node is away")


class FollowerMachine(RuleBasedStateMachine):
    """`looked` is what waiters saw when they took their mark."""

    @initialize(first=st.lists(entries, min_size=DEPTH, max_size=8))
    def begin(self, first: list[list[str]]) -> None:
        self.chain = ModelChain()
        for touched in first:
            self.chain.mine(*touched)
        self.incidents: list[Incident] = []
        self.follower = Follower(self.chain, self._incident)  # type: ignore[arg-type]
        self.loop = asyncio.new_event_loop()
        self.looked: dict[str, tuple[int, Any]] = {}
        self.promised = 0
        self.promised = len(first) - DEPTH
        self.poll()
        self.look(list(ENTRIES))

    async def _incident(self, incident: Incident) -> None:
        self.incidents.append(incident)

    @rule(contents=st.lists(entries, min_size=1, max_size=6))
    def grow(self, contents: list[list[str]]) -> None:
        for touched in contents:
            self.chain.mine(*touched)
        self.promised = max(self.promised, len(self.chain.blocks) - DEPTH)

    @rule(depth=st.integers(1, DEPTH - 1), contents=st.lists(entries, min_size=1, max_size=4))
    def reorganise(self, depth: int, contents: list[list[str]]) -> None:
        """The new fork may be shorter for a while, but touches nothing that was ever final."""
        self.chain.fork(min(depth, len(self.chain.blocks) - 1 - self.promised), contents)
        self.promised = max(self.promised, len(self.chain.blocks) - DEPTH)

    @rule(behind=st.integers(0, 8))
    def lag(self, behind: int) -> None:
        """Another node answers, that is behind the one before, or has caught up."""
        self.chain.behind = min(behind, len(self.chain.blocks) - 1)

    @rule(answers=st.integers(0, 5))
    def fail_in_the_middle(self, answers: int) -> None:
        self.chain.fails_after = answers
        try:
            self.loop.run_until_complete(self.follower.poll())
        except Unavailable:
            pass
        finally:
            self.chain.fails_after = None

    @precondition(lambda self: self.chain.behind == 0)
    @rule(who=st.lists(st.sampled_from(ENTRIES), min_size=1, unique=True))
    def look(self, who: list[str]) -> None:
        for entry in who:
            self.looked[entry] = self.follower.mark, self.chain.story(entry)

    @rule()
    def poll(self) -> None:
        self.loop.run_until_complete(self.follower.poll())
        newest = self.chain.blocks[-1].hash.to_0x_hex()
        if self.chain.behind or self.follower.head is None or self.follower.head.hash != newest:
            return  # a node behind, or on a fork that is still shorter, cannot tell yet; once it has caught up it must
        for entry, (mark, (blocks, final)) in self.looked.items():
            now = self.chain.story(entry)
            # What was final stays so: a node that shows less of it final is only behind the one before.
            if now[0] != blocks or now[1] > final:
                assert self._hears_of(entry, mark), f"{entry[:6]} changed from {blocks, final} to {now}"

    def _hears_of(self, entry: str, mark: int) -> bool:
        """Whether a waiter is answered at once; `news` returns as well when its patience is over."""

        async def waits() -> bool:
            waiting = asyncio.create_task(self.follower.news([entry], mark, patience=3600))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            answered = waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return answered

        return self.loop.run_until_complete(waits())

    @invariant()
    def no_false_accusation(self) -> None:
        assert getattr(self, "incidents", []) == []

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()


FollowerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestFollower = FollowerMachine.TestCase


async def test_follower__a_replaced_final_block_is_reported() -> None:
    chain, incidents = ModelChain(), []

    async def report(incident: Incident) -> None:
        incidents.append(incident)

    for touched in ([], [ENTRIES[0]], [], [], [], []):
        chain.mine(*touched)
    follower = Follower(chain, report)  # type: ignore[arg-type]
    await follower.poll()
    chain.mine()
    await follower.poll()
    replaced = chain.blocks[3]
    assert replaced.number <= chain.final_number
    chain.fork(len(chain.blocks) - 3, [[], [], [], [], []])
    await follower.poll()
    (incident,) = incidents
    assert incident.number <= chain.final_number


async def test_follower__what_another_chain_says_is_no_incident() -> None:
    """Its node was moved, and told so only when it was asked which chain it is of."""
    chain, incidents = ModelChain(), list[Incident]()

    async def report(incident: Incident) -> None:
        incidents.append(incident)

    for _ in range(2 * DEPTH):
        chain.mine()
    follower = Follower(chain, report)  # type: ignore[arg-type]
    await follower.poll()
    ours = list(chain.blocks)
    chain.fork(len(ours) - 1, [[] for _ in ours])
    chain.node.doubt = lambda: chain.blocks.__setitem__(slice(None), ours)
    with pytest.raises(Unavailable, match="another block"):
        await follower.poll()
    chain.mine()
    await follower.poll()
    assert incidents == []


async def test_follower__a_waiter_looks_again_when_what_it_saw_must_be_final() -> None:
    """Even if a node kept an event back: nobody waits for ever for news that were swallowed."""
    chain = ModelChain()
    for _ in range(DEPTH):
        chain.mine()
    follower = Follower(chain, lambda _: asyncio.sleep(0))  # type: ignore[arg-type]
    await follower.poll()
    chain.mine()  # the lock is in here, but its event is not shown
    included = len(chain.blocks) - 1
    waiting = asyncio.create_task(follower.news([ENTRIES[0]], follower.mark, 3600, included))
    for _ in range(DEPTH - 2):
        chain.mine()
        await follower.poll()
        await asyncio.sleep(0)
        assert not waiting.done()
    chain.mine()
    await follower.poll()
    async with asyncio.timeout(5):
        await waiting
    assert follower.final is not None
    assert follower.final.number == included
