"""JSON-RPC to one EVM chain over plain HTTP: several URLs in order of preference, and no library of any chain.

Source: https://ethereum.org/en/developers/docs/apis/json-rpc/, JSON-RPC 2.0.
"""

import ssl
from functools import cache
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from connectionchain.errors import InvalidInput, Rejected, Unavailable
from connectionchain.evidence import Block
from connectionchain.model import chain_time
from connectionchain.network import Chain

TIMEOUT_SECONDS = 10
LIMIT_EXCEEDED, INTERNAL = -32005, -32603


class NodeError(Rejected):
    """The node understood and said no; `data` is a revert's 0x-prefixed return data, if any."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message, field="rpc")
        self.code, self.data = code, data if isinstance(data, str) else ""


class _NoAnswer(Exception):
    """This URL is of no use now; the next one may be."""


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than most calls: once is enough."""
    return httpx.create_ssl_context()


class Rpc:
    """An async context manager. Every call tries the chain's URLs in order; before a URL's first answer counts,
    its node must name the chain's own id.

    Raises Unavailable if no URL answers, NodeError if a node refuses, InvalidInput if it is another chain's node.
    """

    def __init__(self, chain: Chain, timeout: float = TIMEOUT_SECONDS) -> None:
        self.chain = chain
        self._http = httpx.AsyncClient(timeout=timeout, verify=_tls())
        self._verified: set[str] = set()
        self._ids = count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, *params: Any) -> Any:
        """The `result` of one call."""
        failures = []
        for url in self.chain.rpc:
            try:
                await self._verify(url)
                return await self._post(url, method, params)
            except _NoAnswer as failure:
                failures.append(f"{host(url)}: {failure}")
        raise Unavailable(
            f"no node of {self.chain.id} answers ({'; '.join(failures)})",
            field="rpc",
            remedy="check that the chain is running and the network file's rpc URLs, or try again later",
        )

    async def quantity(self, method: str, *params: Any) -> int:
        return int(await self.call(method, *params), 16)

    async def block(self, at: str | int = "latest") -> Block:
        """A block by tag, number or hash. NodeError if there is none (yet)."""
        method = "eth_getBlockByHash" if str(at).startswith("0x") else "eth_getBlockByNumber"
        found = await self.call(method, hex(at) if isinstance(at, int) else at, False)
        if not found:
            raise NodeError(0, f"{self.chain.id} has no block {at}")
        return Block(number=int(found["number"], 16), hash=found["hash"], time=chain_time(int(found["timestamp"], 16)))

    async def final_block(self) -> Block:
        """The newest block past the chain's finality policy; the first block while there is none."""
        finality = self.chain.finality
        if finality.policy != "depth":
            return await self.block(finality.policy)
        newest = await self.quantity("eth_blockNumber")
        return await self.block(max(0, newest - finality.depth + 1))

    async def read(self, to: str, data: str) -> str:
        """Return data of a contract call at the newest block."""
        return str(await self.call("eth_call", {"to": to, "data": data}, "latest"))

    async def _verify(self, url: str) -> None:
        if url in self._verified:
            return
        said = int(await self._post(url, "eth_chainId", ()), 16)
        if str(said) != self.chain.id.reference:
            raise InvalidInput(
                f"the node at {host(url)} is of chain eip155:{said}, not {self.chain.id}",
                field="rpc",
                remedy="correct the URL or the id in the network file",
            )
        self._verified.add(url)

    async def _post(self, url: str, method: str, params: tuple[Any, ...]) -> Any:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            response = await self._http.post(url, json=request)
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
            raise _NoAnswer(type(failure).__name__) from None
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _NoAnswer(f"HTTP {response.status_code}")
        if not isinstance(answer, dict) or not answer.keys() & {"result", "error"}:
            raise _NoAnswer("no JSON-RPC answer")
        if error := answer.get("error"):
            self._refuse(method, error)
        return answer["result"]

    def _refuse(self, method: str, error: dict[str, Any]) -> None:
        code, message = int(error.get("code", 0)), str(error.get("message", "error"))
        too_many_logs = (method, code) == ("eth_getLogs", LIMIT_EXCEEDED) and "rate" not in message.lower()
        if code in (LIMIT_EXCEEDED, INTERNAL) and not error.get("data") and not too_many_logs:
            raise _NoAnswer(message)
        raise NodeError(code, message, error.get("data"))


def host(url: str) -> str:
    """Where a URL points, without the path and query: providers put keys there."""
    return urlsplit(url).hostname or "an invalid URL"
