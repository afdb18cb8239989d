"""How a node or the way to it can misbehave. Each is a `proxy.Trouble` for the routes it is given to."""

import asyncio
import random
from typing import Any

from aiohttp import web

from tests.chaos.proxy import Call, Hangup, Proxy, plain

SLOWEST_S = 12.0
"""Longer than the clients' timeout: the answer to a broadcast may be lost although the node has it."""

_AT_A_BLOCK = {"eth_call", "eth_getTransactionCount", "eth_getBalance", "eth_estimateGas", "eth_getCode"}


class Delay:
    """Answers late, sometimes too late."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        answer = await plain(proxy, call)
        await asyncio.sleep(self._rng.choice((0.2, 0.5, 2.0, SLOWEST_S)))
        return answer


class Drop:
    """Hangs up: on some before they reach the node, on some only after."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        if self._rng.random() < 0.5:
            await plain(proxy, call)
        raise Hangup


class Duplicate:
    """Delivers everything twice and gives the second answer."""

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        await plain(proxy, call)
        return await plain(proxy, call)


class ServerError:
    """5xx, as of a provider in trouble, or 429."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        return web.Response(status=self._rng.choice((429, 500, 502, 503)), text="try again later")


class Garbage:
    """A web page, half an answer, an answer of another shape, another call's answer."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        whole = (await plain(proxy, call)).body
        assert isinstance(whole, bytes)
        wrong: tuple[Any, ...] = (
            {"jsonrpc": "2.0", "id": call.body.get("id"), "result": "lorem"},
            [],
            {"jsonrpc": "2.0"},
        )
        match self._rng.randrange(3):
            case 0:
                return web.Response(text="<html>It works!</html>", content_type="text/html")
            case 1:
                return web.Response(body=whole[: len(whole) // 2], content_type="application/json")
            case _:
                return web.json_response(self._rng.choice(wrong))


class WrongChain:
    """The URL moves to a node of another chain: a broken connection, then answers from there."""

    def __init__(self, other: str) -> None:
        self._other, self._moved = other, set[str]()

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        if call.route not in self._moved:
            self._moved.add(call.route)
            raise Hangup
        return web.json_response(await proxy.forward(call, chain=self._other))


class Lag:
    """A node that stands still, `behind` blocks before the head it had; what is sent to it reaches the chain."""

    def __init__(self, rng: random.Random) -> None:
        self._behind, self._stood = rng.choice((0, 2, 6)), dict[str, int]()

    async def __call__(self, proxy: Proxy, call: Call) -> web.Response:
        if call.route not in self._stood:
            head = int(await proxy.ask(call, "eth_blockNumber"), 16)
            self._stood[call.route] = max(0, head - self._behind)
        head = self._stood[call.route]
        answer = await proxy.forward(call, call.body | {"params": _as_of(call.method, call.params, head)})
        return web.json_response(answer | _hidden(call.method, answer.get("result"), head))


def _as_of(method: str, params: list[Any], head: int) -> list[Any]:
    """The question as a node would take it whose newest block is `head`."""
    if method == "eth_getBlockByNumber" and params[0] in ("latest", "pending"):
        return [hex(head), *params[1:]]
    if method == "eth_getLogs":
        return [params[0] | {"toBlock": hex(min(head, int(params[0]["toBlock"], 16)))}]
    if method in _AT_A_BLOCK and params[1:2] in ([], ["latest"], ["pending"]):
        return [params[0], hex(head), *params[2:]]
    return params


def _hidden(method: str, result: Any, head: int) -> dict[str, Any]:
    if method == "eth_blockNumber":
        return {"result": hex(head)}
    field = {"eth_getTransactionReceipt": "blockNumber", "eth_getBlockByNumber": "number"}.get(method)
    at = result.get(field) if field and isinstance(result, dict) else None
    return {"result": None} if at and int(at, 16) > head else {}
