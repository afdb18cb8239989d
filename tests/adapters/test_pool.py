"""Several nodes of one chain: whoever fails, lags, lies or babbles is set aside by name, and another one answers."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.evm.pool import MOST_BLOCKS_BEHIND, Pool
from connectionchain.errors import InvalidInput, Unavailable
from connectionchain.rpc import Rpc
from tests.chaos import troubles
from tests.chaos.proxy import Call, Hangup, Proxy, plain


@pytest.fixture
async def proxy(stack) -> AsyncIterator[Proxy]:
    upstreams = {name: chain.rpc[0] for name, chain in stack.network.chains.items()}
    async with Proxy(upstreams).running() as running:
        yield running


@pytest.fixture
async def pool(stack, proxy) -> AsyncIterator[Pool]:
    """Two ways to chain a: `first` is preferred."""
    urls = (proxy.url("first/a"), proxy.url("second/a"))
    pool = Pool(stack.network.chains["a"].model_copy(update={"rpc": urls}))
    yield pool
    await pool.close()


def asked(proxy: Proxy, route: str, method: str) -> int:
    return proxy.calls[route, method]


async def test_pool__prefers_the_first_and_leaves_the_other_alone(pool, proxy) -> None:
    for _ in range(3):
        assert await pool.eth("get_block_number") > 0
    assert asked(proxy, "first/a", "eth_blockNumber") >= 3
    assert sum(count for (route, _), count in proxy.calls.items() if route == "second/a") == 0


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(troubles.ServerError(random.Random(1)), id="5xx"),
        pytest.param(troubles.Garbage(random.Random(1)), id="garbage"),
        pytest.param(troubles.Drop(random.Random(1)), id="hangs up"),
    ],
)
async def test_pool__another_answers_and_the_broken_one_rests(pool, proxy, trouble) -> None:
    with proxy.troubled(["first/a"], trouble):
        assert await pool.eth("get_block_number") > 0
        tried = sum(count for (route, _), count in proxy.calls.items() if route == "first/a")
        assert await pool.eth("get_block_number") > 0
        assert sum(count for (route, _), count in proxy.calls.items() if route == "first/a") == tried
    first, second = pool.endpoints
    assert first.reason
    assert first.resting_until > 0
    assert not second.reason


async def test_pool__a_rested_node_is_asked_again(pool, proxy) -> None:
    with proxy.troubled(["first/a"], troubles.ServerError(random.Random(1))):
        await pool.eth("get_block_number")
    pool.endpoints[0].resting_until = 0  # its rest is over
    before = asked(proxy, "first/a", "eth_blockNumber")
    await pool.eth("get_block_number")
    assert asked(proxy, "first/a", "eth_blockNumber") > before
    assert pool.endpoints[0].failures == 0


async def test_pool__all_broken_names_each(pool, proxy) -> None:
    broken = proxy.troubled(["first/a", "second/a"], troubles.ServerError(random.Random(1)))
    with broken, pytest.raises(Unavailable) as error:
        await pool.eth("get_block_number")
    assert proxy.url("first/a") in str(error.value)
    assert proxy.url("second/a") in str(error.value)


async def test_pool__rests_grow_up_to_a_limit(pool) -> None:
    """However often it breaks, and however many calls say so at once."""
    endpoint, rests = pool.endpoints[0], []
    for _ in range(2_000):
        began = time.monotonic()
        endpoint.resting_until = began  # the last one is over
        for _ in range(5):
            endpoint.set_aside("broken")
        rests.append(endpoint.resting_until - began)
    assert [round(each) for each in rests[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert max(rests) < 61
    assert endpoint.failures == 2_000
    endpoint.works()
    assert (endpoint.failures, endpoint.resting_until, endpoint.reason) == (0, 0, "")


async def test_pool__a_node_of_another_chain_is_set_aside_not_believed(stack, proxy) -> None:
    urls = (proxy.url("liar/b"), proxy.url("second/a"))
    pool = Pool(stack.network.chains["a"].model_copy(update={"rpc": urls}))
    assert await pool.eth("get_block_number") > 0
    assert "is of chain 31338, not 31337" in pool.endpoints[0].reason
    await pool.close()


@pytest.mark.parametrize("reverting", [False, True])
async def test_pool__an_answer_of_a_node_that_broke_meanwhile_is_not_believed_unseen(
    pool, proxy, stack, reverting
) -> None:
    """Its URL moves to another chain between the question and the answer, and another call notices."""
    asked_it, moved = asyncio.Event(), asyncio.Event()

    async def moving(proxy: Proxy, call: Call) -> web.Response:
        if call.method == "eth_gasPrice":
            raise Hangup
        if call.method == "eth_getBlockByNumber" and call.params[0] == "latest":
            asked_it.set()
            await moved.wait()
            if reverting:
                error = {"code": 3, "message": "execution reverted"}
                return web.json_response({"jsonrpc": "2.0", "id": call.body["id"], "error": error})
        return web.json_response(await proxy.forward(call, chain="b"))

    await pool.eth("get_block_number")
    with proxy.troubled(["first/a"], moving):
        slow = asyncio.create_task(pool.raw("eth_getBlockByNumber", "latest", False))
        await asked_it.wait()
        await pool.raw("eth_gasPrice")  # the second answers
        moved.set()
        block = await slow
    assert "is of chain 31338" in pool.endpoints[0].reason
    async with Rpc(stack.network.chains["a"]) as rpc:
        assert (await rpc.block(int(block["number"], 16))).hash == block["hash"]


async def test_pool__a_node_that_is_behind_is_not_asked_what_it_cannot_know(pool, proxy) -> None:
    number = await pool.eth("get_block_number")
    with proxy.troubled(["first/a"], troubles.Lag(random.Random(1))):
        await pool.raw("eth_getLogs", {"fromBlock": "0x1", "toBlock": hex(number)}, having=1)
        assert pool.endpoints[0].reason == ""
        while await pool.eth("get_block_number") == number:
            pool.endpoints[0].resting_until = time.monotonic() + 60
        pool.endpoints[0].works()
        await pool.raw("eth_getLogs", {"fromBlock": "0x1", "toBlock": hex(number)}, having=number + 1)
    assert "before" in pool.endpoints[0].reason
    assert asked(proxy, "second/a", "eth_getLogs") == 1


async def test_pool__only_nodes_of_another_chain_is_a_mistake_not_an_outage(stack, proxy) -> None:
    pool = Pool(stack.network.chains["a"].model_copy(update={"rpc": (proxy.url("liar/b"),)}))
    with pytest.raises(InvalidInput, match="is of chain 31338"):
        await pool.eth("get_block_number")
    with pytest.raises(Unavailable, match="is of chain 31338"):  # it has begun to work: no verdict any more
        await pool.eth("get_block_number")
    await pool.close()


async def test_pool__a_node_far_behind_is_set_aside(pool, proxy) -> None:
    number = await pool.eth("get_block_number")

    async def behind(proxy: Proxy, call: Call) -> web.Response:
        if call.method == "eth_blockNumber":
            return web.json_response({"jsonrpc": "2.0", "id": call.body["id"], "result": "0x1"})
        return await plain(proxy, call)

    pool.saw_head(number + MOST_BLOCKS_BEHIND)
    pool.endpoints[0].identified = False
    with proxy.troubled(["first/a"], behind):
        assert await pool.eth("get_block_number") >= number
    assert "blocks behind" in pool.endpoints[0].reason


async def test_pool__a_call_that_nobody_waits_for_any_more_blocks_no_other(pool) -> None:
    """web3 would hold a lock for ever if it were cancelled at the wrong moment."""
    for _ in range(20):
        abandoned = [asyncio.create_task(pool.eth("get_block_number")) for _ in range(20)]
        await asyncio.sleep(0)
        for task in abandoned:
            task.cancel()
        await asyncio.gather(*abandoned, return_exceptions=True)
    async with asyncio.timeout(20):
        assert await pool.eth("get_block_number") > 0
