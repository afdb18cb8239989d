"""The chain watch tells every subscriber of every final event once and in order, whatever breaks on the way."""

from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from activities import watch
from activities.watch import MOST_EVENTS_TOLD, Watcher
from adapters.base import Look
from connectionchain.billing import UsesWanted
from connectionchain.errors import Unavailable
from connectionchain.events import EventFilter, Observation, Position
from connectionchain.evidence import Block
from connectionchain.ids import ChainId
from connectionchain.mandate import Mandate
from connectionchain.sieve import Log, Sieve
from connectionchain.tariff import Tariff, Tier
from ledger.database import Database
from ledger.subscriptions import Subscriptions
from ledger.usage import uses
from workflows.following import Inbox

USED = "Used(address indexed by, uint256 size)"
CONTRACT, HANAKO, TARO = "0x" + "c0" * 20, "0x" + "aa" * 20, "0x" + "bb" * 20
CHAIN = ChainId("eip155:1")
MOST_BLOCKS = 500
"""That the chain shows in one look."""

START = datetime(2026, 1, 1, tzinfo=UTC)


def block(number: int) -> Block:
    return Block(number=number, hash=f"0x{number:064x}", time=START + timedelta(seconds=number))


def used(number: int, index: int = 0, by: str = HANAKO, size: int = 1) -> Log:
    topics = (filter_().abi.topic, "0x" + "00" * 12 + by[2:])
    data, at = "0x" + size.to_bytes(32).hex(), block(number)
    return Log(CONTRACT, topics, data, number, index, at.hash, at.hash, int(at.time.timestamp()))


def filter_(by: str = HANAKO, since: int = 0) -> EventFilter:
    where = ({"field": "by", "value": by},)
    return EventFilter.model_validate(
        {"chain": CHAIN, "contract": CONTRACT, "event": USED, "where": where, "since": since}
    )


def mandate(by: str = HANAKO, **terms: Any) -> Mandate:
    usual = {
        "token": f"eip155:2/erc20:{CONTRACT}",
        "consumer": f"eip155:2:{by}",
        "provider": f"eip155:2:{CONTRACT}",
        "cap": 10**9,
        "tariff": Tariff(tiers=(Tier(price="1/3"),)),
        "usage": filter_(by),
        "units": "size",
        "threshold": 1,
        "period": 60,
        "end": START + timedelta(days=1),
        "expiry": START + timedelta(days=2),
    }
    return Mandate.model_validate(usual | terms)


class Fault(Exception):
    pass


@dataclass
class Steps:
    """Breaks at step number `breaks_at`, once."""

    breaks_at: int = -1
    done: int = 0

    def step(self) -> None:
        self.done += 1
        if self.done == self.breaks_at:
            raise Fault


@dataclass
class Chain:
    """A `ChainAdapter` as far as the watch needs one."""

    steps: Steps
    logs: list[Log] = field(default_factory=list)
    head: int = 0
    looks: list[tuple[int, int, int]] = field(default_factory=list)
    chain = CHAIN

    @property
    def final(self) -> Block:
        return block(self.head)

    async def events(self, filters, first, last):
        self.steps.step()
        last = min(last, first + MOST_BLOCKS - 1)
        self.looks.append((len(filters), first, last))
        return Look(last, Sieve(filters).sort([log for log in self.logs if first <= log.block <= last]))


@dataclass
class Workflows:
    """A client whose workflows take what they are told as the kit's do."""

    steps: Steps
    told: dict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    events: dict[str, list[Position]] = field(default_factory=lambda: defaultdict(list))
    inboxes: dict[str, Inbox] = field(default_factory=lambda: defaultdict(Inbox))
    gone: set[str] = field(default_factory=set)

    def get_workflow_handle(self, id_):
        self.id = id_
        return Handle(self, id_)


@dataclass
class Handle:
    workflows: Workflows
    id: str

    async def signal(self, name, observation):
        assert name == "observed"
        self.workflows.steps.step()
        if self.id in self.workflows.gone:
            raise RPCError("not found", RPCStatusCode.NOT_FOUND, b"")
        self.workflows.told[self.id].append(observation)
        self.workflows.events[self.id] += [each.at for each in self.workflows.inboxes[self.id].take(observation)]
        self.workflows.steps.step()


class FaultyDatabase(Database):
    """Breaks just before or just after a transaction is committed."""

    steps: Steps

    @asynccontextmanager
    async def write(self):
        async with super().write() as session:
            yield session
            self.steps.step()
        self.steps.step()


class Bench:
    def __init__(self, folder) -> None:
        self.steps = Steps()
        self.database = FaultyDatabase(f"sqlite+aiosqlite:///{folder}/watch.db")
        self.database.steps = self.steps
        self.chain, self.workflows = Chain(self.steps), Workflows(self.steps)
        self.subscriptions = Subscriptions(self.database)
        self.restart()

    def restart(self) -> None:
        """As after a crash: nothing is kept but the database."""
        self.watcher = Watcher(self.chain, self.database, self.workflows)

    async def until_quiet(self) -> None:
        while True:
            try:
                if not await self.watcher.poll():
                    return
            except Fault:
                self.restart()

    async def bill(self, mandate) -> list[tuple[int, int]]:
        rows = await uses(self.database, UsesWanted(mandate=mandate.id, limit=2000))
        return [(use.at.block, use.total) for use in rows]


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    await bench.database.create()
    yield bench
    await bench.database.close()


@pytest.mark.parametrize("breaks_at", range(1, 16))
async def test_crash__at_any_step_bills_and_tells_each_event_once(bench, breaks_at) -> None:
    billed, other = mandate(), mandate(TARO)
    for each in (billed, other):
        await bench.subscriptions.subscribe(each.id, each.usage, each)
    await bench.subscriptions.subscribe("contract", filter_(), detailed=True)
    bench.chain.logs = [used(n, by=by, size=2) for n in range(1, 8) for by in (HANAKO, TARO)]
    bench.steps.breaks_at, bench.steps.done = breaks_at, 0
    for head in (3, 7):
        bench.chain.head = head
        await bench.until_quiet()
    prices = [2 * n // 3 for n in range(1, 8)]
    for each in (billed, other):
        assert await bench.bill(each) == list(zip(range(1, 8), prices, strict=True))
        last = bench.workflows.told[each.id][-1]
        assert (last.count, last.total, last.at.block) == (7, prices[-1], 7)
        positions = [told.at.block for told in bench.workflows.told[each.id]]
        assert positions == sorted(positions)
    assert [at.block for at in bench.workflows.events["contract"]] == list(range(1, 8))
    assert bench.workflows.inboxes["contract"].counts[filter_().id] == 7


async def test_final__only_is_told(bench) -> None:
    await bench.subscriptions.subscribe("contract", filter_(), detailed=True)
    bench.chain.logs, bench.chain.head = [used(4), used(5), used(6)], 5
    await bench.until_quiet()
    bench.chain.logs[2] = used(6, by=TARO)  # the block was replaced before it was final
    bench.chain.head = 6
    await bench.until_quiet()
    assert [at.block for at in bench.workflows.events["contract"]] == [4, 5]


async def test_one_look__serves_any_number_of_subscribers(bench) -> None:
    for n in range(100):
        await bench.subscriptions.subscribe(f"contract {n}", filter_(f"0x{n:040x}"))
    for head in (1, 2, 3):
        bench.chain.head = head
        bench.chain.logs.append(used(head, by=f"0x{head:040x}"))
        await bench.until_quiet()
    assert bench.chain.looks == [(100, 0, 1), (100, 2, 2), (100, 3, 3)]
    assert {id_: told[0].count for id_, told in bench.workflows.told.items()} == {f"contract {n}": 1 for n in (1, 2, 3)}


async def test_too_many_for_one_look__take_turns(bench, monkeypatch) -> None:
    monkeypatch.setattr(watch, "MOST_FOLLOWED", 10)
    for n in range(25):
        await bench.subscriptions.subscribe(f"contract {n}", filter_())
    for head in (1, 2):
        bench.chain.head = head
        bench.chain.logs.append(used(head))
        await bench.until_quiet()
    assert max(size for size, _, _ in bench.chain.looks) == 10
    assert [bench.workflows.told[f"contract {n}"][-1].count for n in range(25)] == [2] * 25


async def test_gap__of_ten_thousand_blocks_is_made_up_for_in_chunks(bench) -> None:
    billed = mandate()
    await bench.subscriptions.subscribe(billed.id, billed.usage, billed)
    bench.chain.logs = [used(n, size=3) for n in range(0, 10_000, 100)]
    bench.chain.head = 10_000
    await bench.until_quiet()
    assert len(bench.chain.looks) == 21
    assert await bench.bill(billed) == [(n, n // 100 + 1) for n in range(0, 10_000, 100)]


async def test_newcomer__gets_the_past_while_the_others_go_on(bench) -> None:
    await bench.subscriptions.subscribe("early", filter_(), detailed=True)
    bench.chain.logs, bench.chain.head = [used(n) for n in range(0, 1200, 100)], 1000
    await bench.until_quiet()
    await bench.subscriptions.subscribe("late", filter_(since=300), detailed=True)
    bench.chain.head = 1200
    await bench.watcher.poll()
    assert [at.block for at in bench.workflows.events["early"]] == list(range(0, 1200, 100))
    await bench.until_quiet()
    assert [at.block for at in bench.workflows.events["late"]] == list(range(300, 1200, 100))


async def test_ten_thousand_events__in_one_block(bench) -> None:
    billed = mandate()
    await bench.subscriptions.subscribe(billed.id, billed.usage, billed)
    await bench.subscriptions.subscribe("contract", filter_(), detailed=True)
    bench.chain.logs, bench.chain.head = [used(1, index, size=3) for index in range(10_000)], 1
    await bench.until_quiet()
    assert [(told.count, told.total) for told in bench.workflows.told[billed.id]] == [(10_000, 10_000)]
    assert len(bench.workflows.told["contract"]) == 10_000 // MOST_EVENTS_TOLD
    assert [at.log_index for at in bench.workflows.events["contract"]] == list(range(10_000))


async def test_ended_workflow__is_told_no_more_and_its_bill_is_kept(bench) -> None:
    billed = mandate()
    await bench.subscriptions.subscribe(billed.id, billed.usage, billed)
    await bench.subscriptions.subscribe("contract", filter_())
    bench.chain.logs, bench.chain.head = [used(1, size=3), used(2, size=3)], 1
    await bench.until_quiet()
    bench.workflows.gone = {billed.id, "contract"}
    bench.chain.head = 2
    await bench.until_quiet()
    assert await bench.subscriptions.waiting(CHAIN, 99) == {}
    assert await bench.bill(billed) == [(1, 1), (2, 2)]


async def test_ended_workflows__take_no_memory(bench, monkeypatch) -> None:
    monkeypatch.setattr(watch, "MOST_FOLLOWED", 3)
    await bench.subscriptions.subscribe("stays", filter_())
    for head in range(1, 10):
        await bench.subscriptions.subscribe(f"ends {head}", filter_())
        bench.workflows.gone = {f"ends {head}"}
        bench.chain.logs, bench.chain.head = [used(head)], head
        await bench.until_quiet()
    assert len(bench.watcher._wanted) <= 1 + 1 + 3


async def test_silent_node__is_asked_again(bench) -> None:
    await bench.subscriptions.subscribe("contract", filter_(), detailed=True)
    bench.chain.logs, bench.chain.head = [used(1)], 1
    look = bench.chain.events

    async def silent(*_):
        bench.chain.events = look
        raise Unavailable("silent")

    bench.chain.events = silent
    with pytest.raises(Unavailable):
        await bench.watcher.poll()
    await bench.until_quiet()
    assert [at.block for at in bench.workflows.events["contract"]] == [1]
