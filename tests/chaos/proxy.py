"""Stands between the workers and the chains: misbehaves as told, and knows when a transaction goes by.

A route such as `nodes/a` or `alice/b` is one program's way to one chain, so that every program can be failed alone.
"""

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from connectionchain.escrow import CERTIFICATE, TERMS
from devnet.ports import HOST

BEFORE_BROADCAST, AFTER_BROADCAST, AFTER_RECEIPT = "before broadcast", "after broadcast", "after receipt"
POINTS = (BEFORE_BROADCAST, AFTER_BROADCAST, AFTER_RECEIPT)

CONSUMERS = "consumers"
"""The program, as routes name it, of those who use data."""

LONGEST_HOLD_S = 20.0
LARGEST_BODY = 32 * 2**20

_SIGNATURES = {
    f"lockWithAuthorization({TERMS},(uint256,bytes32,bytes32))": "lock",
    f"lockWithAuthorization({TERMS},uint256,bytes)": "lock",
    f"releaseBatch((address,address,bytes32[])[],{CERTIFICATE})": "release",
    f"refund({TERMS},{CERTIFICATE})": "refund",
    f"reclaim({TERMS})": "reclaim",
    f"meter({TERMS},uint96,{CERTIFICATE})": "meter",
    f"close({TERMS},uint96,{CERTIFICATE})": "close",
    "useMany(bytes32[])": "use",
}
BILLING_VERBS = ("meter", "close", "use")
"""A use is a consumer's own transaction; its receipt is the event that the data chain's followers are shown."""

VERBS = tuple(dict.fromkeys(_SIGNATURES.values()))
_VERB = {keccak(text=signature)[:4]: verb for signature, verb in _SIGNATURES.items()}


@dataclass(frozen=True)
class Moment:
    """A point in the life of a transaction that does `verb`."""

    verb: str
    point: str


@dataclass
class Passing:
    """A transaction that is at a moment now, on `route`; its request is held until `go_on` is set."""

    route: str
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def program(self) -> str:
        return self.route.split("/")[0]

    @property
    def chain(self) -> str:
        return self.route.split("/")[1]


@dataclass
class Call:
    """One JSON-RPC request. `gone` tells that its sender has hung up."""

    route: str
    body: dict[str, Any]
    request: web.Request

    @property
    def method(self) -> str:
        return str(self.body.get("method"))

    @property
    def params(self) -> list[Any]:
        return list(self.body.get("params") or [])

    @property
    def gone(self) -> bool:
        return self.request.transport is None or self.request.transport.is_closing()


Answer = web.Response
Trouble = Callable[["Proxy", Call], Awaitable[Answer]]


class Hangup(Exception):
    """The connection is closed without an answer."""


class Proxy:
    """`upstreams` are the chains' true URLs by short name. `calls` counts requests by (route, method)."""

    def __init__(self, upstreams: Mapping[str, str]) -> None:
        self.upstreams = dict(upstreams)
        self.calls: Counter[tuple[str, str]] = Counter()
        self.port = 0
        self._troubles: dict[str, list[Trouble]] = defaultdict(list)
        self._waiting: dict[Moment, list[asyncio.Future[Passing]]] = defaultdict(list)
        self._verbs: dict[str, str] = {}
        self._seen: set[str] = set()
        self._http: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/{route:.+}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        self.port = runner.addresses[0][1]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as self._http:
            try:
                yield self
            finally:
                await runner.cleanup()

    def url(self, route: str) -> str:
        return f"http://{HOST}:{self.port}/{route}"

    @contextlib.contextmanager
    def troubled(self, routes: list[str], trouble: Trouble) -> Any:
        """These routes misbehave while the block runs."""
        for route in routes:
            self._troubles[route].append(trouble)
        try:
            yield
        finally:
            for route in routes:
                self._troubles[route].remove(trouble)

    async def next(self, moment: Moment, patience: float) -> Passing | None:
        """Waits for a transaction at this moment, and holds it there; None if none came in time (seconds)."""
        future: asyncio.Future[Passing] = asyncio.get_running_loop().create_future()
        self._waiting[moment].append(future)
        try:
            return await asyncio.wait_for(future, patience)
        except TimeoutError:
            return None
        finally:
            if future in self._waiting[moment]:
                self._waiting[moment].remove(future)

    async def forward(self, call: Call, body: dict[str, Any] | None = None, chain: str | None = None) -> Any:
        """What the chain answers, as JSON. Raises aiohttp.ClientError while it is down."""
        url = self.upstreams[chain or call.route.split("/")[1]]
        async with self._http.post(url, json=body or call.body) as response:
            return await response.json(content_type=None)

    async def ask(self, call: Call, method: str, *params: Any) -> Any:
        answer = await self.forward(call, {"jsonrpc": "2.0", "id": 0, "method": method, "params": list(params)})
        return answer.get("result")

    # -------------------------------------------------------------------------------------------- one request

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = Call(request.match_info["route"], await request.json(), request)
        self.calls[call.route, call.method] += 1
        try:
            return await self._answer(call)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return web.Response(status=502)
        except Hangup:
            if request.transport:
                request.transport.close()
            return web.Response(status=502)

    async def _answer(self, call: Call) -> web.Response:
        sent = self._verb_of(call)
        if sent:
            await self._hold(Moment(sent, BEFORE_BROADCAST), call)
        trouble = next(iter(self._troubles[call.route]), plain)
        answer = await trouble(self, call)
        if sent:
            await self._hold(Moment(sent, AFTER_BROADCAST), call)
        for verb in self._included(call, answer):
            await self._hold(Moment(verb, AFTER_RECEIPT), call)
        return answer

    def _verb_of(self, call: Call) -> str | None:
        if call.method != "eth_sendRawTransaction":
            return None
        raw = HexBytes(call.params[0])
        verb = _VERB.get(bytes(HexBytes(TypedTransaction.from_bytes(raw).as_dict()["data"]))[:4])
        if verb:
            self._verbs["0x" + keccak(raw).hex()] = verb
        return verb

    async def _hold(self, moment: Moment, call: Call) -> None:
        """Holds the call until whoever waits for this moment lets it go on; then its sender may have gone."""
        if passing := self._tell(moment, call.route):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(passing.go_on.wait(), LONGEST_HOLD_S)
        if call.gone:
            raise Hangup

    def _tell(self, moment: Moment, route: str) -> Passing | None:
        """Tells the first who waits for this moment, if anybody does."""
        waiting = self._waiting[moment]
        while waiting:
            future = waiting.pop(0)
            if not future.done():
                future.set_result(passing := Passing(route))
                return passing
        return None

    def _included(self, call: Call, answer: web.Response) -> list[str]:
        """The verbs of transactions whose inclusion this answer is the first to tell."""
        if call.method not in ("eth_getTransactionReceipt", "eth_getLogs") or not isinstance(answer.body, bytes):
            return []
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            result = json.loads(answer.body).get("result") or []
            hashes = [each["transactionHash"] for each in (result if isinstance(result, list) else [result])]
            fresh = [each for each in dict.fromkeys(hashes) if each in self._verbs and each not in self._seen]
            self._seen.update(fresh)
            return [self._verbs[each] for each in fresh]
        return []


async def plain(proxy: Proxy, call: Call) -> web.Response:
    """No trouble."""
    return web.json_response(await proxy.forward(call))
