"""Several nodes of one chain behind one face: the first healthy one answers; one that fails, lags, lies about the
chain or returns garbage is set aside for a while, by name.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import structlog
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import BlockNotFound, ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import RPCEndpoint

from adapters.evm.reverts import rejection
from connectionchain.errors import InvalidInput, Rejected, Unavailable
from connectionchain.network import Chain

TIMEOUT_S = 10
CONNECTIONS = 32
FIRST_REST_S, LONGEST_REST_S, MOST_DOUBLINGS = 1.0, 60.0, 6
MOST_BLOCKS_BEHIND = 5
REVERTED = 3
"""JSON-RPC error code of a call that reverts."""

SAYING_NO = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

_ANSWERS = (TransactionNotFound, BlockNotFound, Web3RPCError)
"""What a healthy node may say as well; the caller knows what it means."""

T = TypeVar("T")
log = structlog.get_logger()


@dataclass
class Endpoint:
    """One URL, and until when (monotonic seconds) it rests and why."""

    url: str
    web3: AsyncWeb3[AsyncHTTPProvider]
    connected: bool = False
    identified: bool = False
    identifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    head: int = 0
    failures: int = 0
    resting_until: float = 0
    reason: str = ""

    def set_aside(self, reason: str) -> None:
        """Counts once for all calls that fail in the same rest."""
        self.reason, self.identified = reason, False
        if self.resting_until > time.monotonic():
            return
        rest = min(FIRST_REST_S * 2 ** min(self.failures, MOST_DOUBLINGS), LONGEST_REST_S)
        self.failures += 1
        self.resting_until = time.monotonic() + rest
        log.warning("node set aside", url=self.url, reason=reason, seconds=rest)

    def works(self) -> None:
        self.failures, self.resting_until, self.reason = 0, 0, ""


@dataclass
class Pool:
    """All nodes of `chain`, asked in order of preference."""

    chain: Chain
    endpoints: list[Endpoint] = field(init=False)
    _was_asked: bool = field(init=False, default=False)
    _closed: bool = field(init=False, default=False)
    _calls: set[asyncio.Task[Any]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.endpoints = [Endpoint(url, _web3(url)) for url in self.chain.rpc]

    async def eth(self, method: str, *arguments: Any, having: int = 0) -> Any:
        """Calls `web3.eth.<method>` on the first node that answers, and has block `having`: one that is behind leaves
        logs out without a word. Raises Rejected for a revert, Unavailable if none answers, InvalidInput if it
        is asked for the first time and all are of another chain."""

        async def ask(web3: AsyncWeb3[AsyncHTTPProvider]) -> Any:
            if having:
                _expect(having, await web3.eth.block_number)
            return await getattr(web3.eth, method)(*arguments)

        return await self._ask(ask)

    async def tip(self) -> int:
        """The priority fee the node suggests, in wei per gas."""
        return int(await self._ask(lambda web3: web3.eth.max_priority_fee))

    async def raw(self, method: str, *parameters: Any, having: int = 0) -> Any:
        """The plain JSON result of a call, at a third of the work of `eth`. Raises as `eth` does."""

        async def ask(web3: AsyncWeb3[AsyncHTTPProvider]) -> Any:
            if having:
                _expect(having, await web3.eth.block_number)
            response = await web3.provider.make_request(RPCEndpoint(method), parameters)
            if error := response.get("error"):
                raise _refusal(error)
            return response["result"]

        return await self._ask(ask)

    def doubt(self) -> None:
        """Every node has to tell again which chain it is of before it is believed."""
        for endpoint in self.endpoints:
            endpoint.identified = False

    def saw_head(self, number: int) -> None:
        """Tells how high the chain is; nodes that are too far behind when asked next are set aside."""
        for endpoint in self.endpoints:
            endpoint.head = max(endpoint.head, number)

    async def close(self) -> None:
        """Lets calls on their way end first: one that came after would open a connection that nobody closes."""
        self._closed = True
        if self._calls:
            await asyncio.wait(self._calls, timeout=TIMEOUT_S)
        for endpoint in self.endpoints:
            await endpoint.web3.provider.disconnect()

    async def _ask(self, question: Callable[[AsyncWeb3[AsyncHTTPProvider]], Awaitable[T]]) -> T:
        if self._closed:
            raise Unavailable("this process is stopping", field="rpc")
        wrong: InvalidInput | None = None
        for endpoint in self._in_order():
            try:
                answer = await self._unbroken(self._put(question, endpoint))
            except ContractLogicError as error:
                raise rejection(error.message or "execution reverted", str(error.data or "")) from error
            except (*_ANSWERS, Rejected):
                raise
            except InvalidInput as error:
                wrong = error
                endpoint.set_aside(error.message)
            except Exception as error:  # whatever a broken node makes a JSON-RPC client raise
                endpoint.set_aside(f"{type(error).__name__}: {error}")
            else:
                endpoint.works()
                self._was_asked = True
                return answer
        was_asked, self._was_asked = self._was_asked, True
        if wrong and not was_asked and all(endpoint.reason == wrong.message for endpoint in self.endpoints):
            raise wrong
        raise Unavailable(
            "; ".join(f"{each.url}: {each.reason}" for each in self.endpoints), field="rpc", remedy="check the nodes"
        )

    async def _unbroken(self, call: Coroutine[Any, Any, T]) -> T:
        """Lets the call go on to its end, soon, even if nobody waits for it any more: web3 takes a thread lock on the
        way, and one that is cancelled just then leaves it taken for ever, for every call of the process (`async_lock`).
        """
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _put(self, question: Callable[[AsyncWeb3[AsyncHTTPProvider]], Awaitable[T]], endpoint: Endpoint) -> T:
        if not endpoint.connected:
            endpoint.connected = True
            await endpoint.web3.provider.cache_async_session(_keeping_connections())
        await self._known(endpoint)
        try:
            answer = await question(endpoint.web3)
        except (ContractLogicError, Rejected, *_ANSWERS):
            await self._known(endpoint)
            raise
        await self._known(endpoint)  # if it had trouble meanwhile, it may be another chain's by now
        return answer

    async def _known(self, endpoint: Endpoint) -> None:
        if not endpoint.identified:
            async with endpoint.identifying:
                if not endpoint.identified:
                    await self._identify(endpoint)

    def _in_order(self) -> Sequence[Endpoint]:
        """Those that are not resting; or, if all are, the one that has rested longest: somebody must be asked."""
        awake = [each for each in self.endpoints if each.resting_until <= time.monotonic()]
        return awake or [min(self.endpoints, key=lambda each: each.resting_until)]

    async def _identify(self, endpoint: Endpoint) -> None:
        """Nothing is believed of a node before it has told the right chain, and knows its escrow."""
        told, expected = await endpoint.web3.eth.chain_id, int(self.chain.id.reference)
        if told != expected:
            raise InvalidInput(
                f"is of chain {told}, not {expected}", field="rpc", remedy="correct the chain's id or its URL"
            )
        genesis = (await endpoint.web3.eth.get_block(0))["hash"].to_0x_hex()
        if self.chain.genesis and genesis != self.chain.genesis:
            raise InvalidInput(
                f"has genesis block {genesis}, not {self.chain.genesis}: another chain of the same id",
                field="rpc",
                remedy="point at the right chain; if it was laid anew on purpose, remove the old state",
            )
        if not await endpoint.web3.eth.get_code(endpoint.web3.to_checksum_address(self.chain.escrow_address)):
            raise InvalidInput(
                f"has no contract at {self.chain.escrow_address}",
                field="escrow_address",
                remedy="deploy the escrow or correct its address",
            )
        behind = endpoint.head - await endpoint.web3.eth.block_number
        if behind > MOST_BLOCKS_BEHIND:
            raise Unavailable(f"is {behind} blocks behind")
        endpoint.identified = True


def _expect(having: int, height: int) -> None:
    if height < having:
        raise Unavailable(f"is at block {height}, before {having}")


def _refusal(error: Mapping[str, Any]) -> Rejected | Unavailable | Web3RPCError:
    """What a JSON-RPC error means: the call reverts, or the node will not do it."""
    message = str(error.get("message") or "")
    if error.get("code") == REVERTED or "revert" in message:
        return rejection(message, str(error.get("data") or ""))
    return Web3RPCError(str(error))


def _keeping_connections() -> aiohttp.ClientSession:
    """web3's own sessions connect anew for every call."""
    return aiohttp.ClientSession(raise_for_status=_raise_for_status, connector=aiohttp.TCPConnector(limit=CONNECTIONS))


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Some nodes say no by HTTP's status too: what is a JSON-RPC error is an answer nevertheless."""
    if response.status in SAYING_NO:
        with suppress(ValueError):
            answer = await response.json(content_type=None)
            if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
                raise _refusal(answer["error"])
    response.raise_for_status()


def _web3(url: str) -> AsyncWeb3[AsyncHTTPProvider]:
    timeout = aiohttp.ClientTimeout(TIMEOUT_S)
    web3 = AsyncWeb3(AsyncHTTPProvider(url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None))
    for costly in ("validation", "ens_name_to_address", "gas_price_strategy", "gas_estimate"):
        web3.middleware_onion.remove(costly)  # a chain id asked for with every call, and what is not used here
    return web3
