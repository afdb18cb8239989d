"""Logs are asked for in as many blocks at once as the node bears: fewer after a refusal or a slow answer, then more."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from adapters.evm import logs
from adapters.evm.logs import Stride
from adapters.evm.view import EvmView
from connectionchain.errors import Unavailable
from connectionchain.events import EventFilter
from connectionchain.ids import ChainId
from connectionchain.network import Chain
from devnet.chains import Anvil
from devnet.ports import Ports
from tests.chaos.proxy import Call, Proxy, plain
from tests.chaos.troubles import Lag

TICKER, FROM = "0x" + "71" * 20, "0x" + "f0" * 20
GAP, TICKS, FIRST = 1_000, 20, 20


@dataclass
class Moody:
    """A node that refuses `eth_getLogs` of more than `most` blocks, by this HTTP `status`, and takes `seconds` for each
    other block."""

    most: int = GAP
    seconds: float = 0
    status: int = 200
    spans: list[int] = field(default_factory=list)

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        if call.method != "eth_getLogs":
            return await plain(proxy, call)
        blocks = int(call.params[0]["toBlock"], 16) - int(call.params[0]["fromBlock"], 16) + 1
        self.spans.append(blocks)
        if blocks > self.most:
            refusal = {"code": -32602, "message": f"query exceeds max block range {self.most}"}
            return web.json_response({"jsonrpc": "2.0", "id": call.body["id"], "error": refusal}, status=self.status)
        await asyncio.sleep(blocks * self.seconds)
        return await plain(proxy, call)


@pytest.fixture(scope="module")
async def chain(tmp_path_factory) -> AsyncIterator[Anvil]:
    """A thousand blocks, with a tick in every fiftieth."""
    folder, port = tmp_path_factory.mktemp("logs"), Ports.free(1, ui=False).chains[0]
    anvil = Anvil(name="logs", log=folder / "log", id=ChainId("eip155:31337"), port=port, state=folder / "state")
    await anvil.start()
    topic = tick().abi.topic
    await anvil.call("anvil_setCode", TICKER, f"0x7f{topic[2:]}5f5fa100")  # LOG1 of the topic, with no data
    await anvil.call("anvil_impersonateAccount", FROM)
    await anvil.call("anvil_setBalance", FROM, hex(10**20))
    for _ in range(TICKS):
        await anvil.call("eth_sendTransaction", {"from": FROM, "to": TICKER, "gas": hex(100_000)})
        await anvil.mine(GAP // TICKS - 1)
    yield anvil
    await anvil.close()
    await anvil.stop()


@pytest.fixture
async def proxy(chain) -> AsyncIterator[Proxy]:
    async with Proxy({"a": chain.url}).running() as running:
        yield running


@pytest.fixture
async def view(chain, proxy) -> AsyncIterator[EvmView]:
    view = EvmView(Chain(id=chain.id, rpc=(proxy.url("one/a"),), escrow_address=TICKER))
    view.stride.blocks = FIRST
    yield view
    await view.close()


def tick() -> EventFilter:
    terms: dict[str, Any] = {"chain": "eip155:31337", "contract": TICKER, "event": "Tick()", "since": 0}
    return EventFilter.model_validate(terms)


async def ticks(view: EvmView, last: int = GAP) -> list[int]:
    """The blocks of all ticks up to `last`, found in as many looks as it takes."""
    found, first = list[int](), 0
    while first <= last:
        look = await view.events([tick()], first, last)
        assert first <= look.last <= last
        found += [match.log.block for match in look.found[0]]
        first = look.last + 1
    return found


ALL = [1 + n * (GAP // TICKS) for n in range(TICKS)]


async def test_quick_node__is_asked_for_more_and_more(view, proxy) -> None:
    with proxy.troubled(["one/a"], moody := Moody()):
        assert await ticks(view) == ALL
    assert moody.spans[:-1] == sorted(moody.spans[:-1])
    assert len(moody.spans) < GAP / FIRST / 3


@pytest.mark.parametrize(("most", "last"), [(1, 100), (7, 300), (40, GAP)])
async def test_node_that_refuses__is_asked_for_what_it_bears(view, proxy, most, last) -> None:
    with proxy.troubled(["one/a"], moody := Moody(most)):
        assert await ticks(view, last) == [block for block in ALL if block <= last]
    refused = sum(span > most for span in moody.spans)
    assert refused < len(moody.spans) / 2 + 10
    answered = [span for span in moody.spans if span <= most]
    assert sum(answered) / len(answered) > most / 2


@pytest.mark.parametrize(("most", "status"), [(7, 200), (40, 400), (40, 413), (GAP, 200)])
async def test_escrow__of_a_node_that_refuses_many_blocks_is_read_whole(view, proxy, most, status) -> None:
    """What finds the past of an entry, follows the chain after a gap and reconciles."""
    with proxy.troubled(["one/a"], moody := Moody(most, status=status)):
        assert [each["blockNumber"] for each in await view.escrow_logs(0, GAP)] == ALL
        [only] = await view.escrow_logs(ALL[3], ALL[4] - 1)
        assert only["blockNumber"] == ALL[3]
        assert await view.escrow_logs(GAP + 1, GAP) == []
    assert view.node.endpoints[0].reason == ""  # it was never set aside for that
    assert sum(span > most for span in moody.spans) < len(moody.spans) / 2


async def test_slow_node__is_asked_for_less(view, proxy, monkeypatch) -> None:
    monkeypatch.setattr(logs, "QUICK_S", 0.06)
    monkeypatch.setattr(logs, "SLOW_S", 0.12)
    with proxy.troubled(["one/a"], moody := Moody(seconds=0.01)):
        assert await ticks(view) == ALL
    assert moody.spans[:2] == [FIRST, FIRST // 2]
    assert max(moody.spans[1:]) <= 0.12 / 0.01


async def test_full_blocks__are_asked_for_less(monkeypatch) -> None:
    monkeypatch.setattr(logs, "MANY_LOGS", 1000)
    stride = Stride()
    stride.learn(500, 0.1, 2000)
    assert stride.blocks == 250
    stride.learn(250, 0.1, 800)
    assert stride.blocks == 250
    stride.learn(250, 0.1, 400)
    assert stride.blocks > 250


async def test_failure__that_is_quick_is_not_blamed_on_few_blocks() -> None:
    stride = Stride()
    stride.fail(100, seconds=0.1)
    assert stride.blocks == 500
    stride.fail(400, seconds=0.1)
    assert stride.blocks == 200
    stride.fail(20, seconds=9)
    assert stride.blocks == 10


async def test_slow_node__is_still_asked_for_the_fewest_and_for_less_only_if_it_refuses() -> None:
    stride = Stride(fewest=100)
    for _ in range(40):  # as many as wait for it at once
        stride.fail(500, seconds=9)
        stride.learn(3, 9.0, 5)
    assert stride.blocks == 100
    stride.refused(100)
    assert stride.blocks == 50
    stride.fail(50, seconds=9)
    assert stride.blocks == 50


async def test_look_at_few_blocks__says_nothing_about_many() -> None:
    stride = Stride()
    stride.learn(1, 0.01, 5)
    assert stride.blocks == 500


async def test_node_that_is_behind__is_not_believed_that_there_was_nothing(view, proxy) -> None:
    height = await view.node.eth("get_block_number")
    with proxy.troubled(["one/a"], Lag(random.Random(1))), pytest.raises(Unavailable, match=f"before {height + 1}"):
        await view.events([tick()], height, height + 1)
    with proxy.troubled(["one/a"], Lag(random.Random(1))), pytest.raises(Unavailable, match=f"before {height + 1}"):
        await view.escrow_logs(height, height + 1)


async def test_silent_node__is_asked_for_less_next_time(view, proxy, monkeypatch) -> None:
    monkeypatch.setattr(logs, "FEW", 10)
    with proxy.troubled(["one/a"], Moody()):
        await view.events([tick()], 0, 0)

    async def silent(_proxy: Proxy, _call: Call) -> web.Response:
        return web.Response(status=503)

    with proxy.troubled(["one/a"], silent), pytest.raises(Unavailable):
        await view.events([tick()], 0, GAP)
    view.node.endpoints[0].resting_until = 0
    with proxy.troubled(["one/a"], moody := Moody()):
        await view.events([tick()], 0, GAP)
    assert moody.spans == [FIRST // 2]
