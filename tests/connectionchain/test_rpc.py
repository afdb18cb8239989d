"""JSON-RPC: which node answers, and what is said when none does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectionchain.errors import InvalidInput, Unavailable
from connectionchain.network import Chain, Finality
from connectionchain.rpc import NodeError, Rpc

DEAD = "http://127.0.0.1:1/v2/secret-api-key"


def with_urls(chain: Chain, *urls: str) -> Chain:
    return chain.model_copy(update={"rpc": urls})


@asynccontextmanager
async def answering(response: bytes) -> AsyncIterator[str]:
    """The URL of an HTTP server that always says the same."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_call__first_node_dead(bench: Any) -> None:
    chain = bench.network.chain("a")
    async with Rpc(with_urls(chain, DEAD, *chain.rpc)) as rpc:
        assert await rpc.quantity("eth_chainId") == int(chain.id.reference)


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "response",
    [
        http("200 OK", "hello"),
        http("429 Too Many Requests", '{"id":1,"result":"0x1"}'),
        http("503 Service Unavailable", '{"id":1,"result":"0x1"}'),
        http("200 OK", '{"id":1,"error":{"code":-32005,"message":"limit exceeded"}}'),
        http("200 OK", "[]"),
    ],
    ids=["no json", "too many requests", "server error", "limit exceeded", "no object"],
)
async def test_call__first_node_useless(bench: Any, response: bytes) -> None:
    chain = bench.network.chain("a")
    async with answering(response) as url, Rpc(with_urls(chain, url, *chain.rpc)) as rpc:
        assert await rpc.quantity("eth_chainId") == int(chain.id.reference)


async def test_call__all_nodes_dead(bench: Any) -> None:
    async with Rpc(with_urls(bench.network.chain("a"), DEAD)) as rpc:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1: ConnectError") as caught:
            await rpc.call("eth_chainId")
    assert caught.value.remedy
    assert "secret-api-key" not in str(caught.value)


async def test_call__node_of_another_chain(bench: Any) -> None:
    a, b = bench.network.chain("a"), bench.network.chain("b")
    async with Rpc(with_urls(a, *b.rpc)) as rpc:
        with pytest.raises(InvalidInput, match=f"is of chain {b.id}, not {a.id}"):
            await rpc.call("eth_blockNumber")


async def test_call__node_refuses(bench: Any) -> None:
    async with Rpc(bench.network.chain("a")) as rpc:
        with pytest.raises(NodeError) as caught:
            await rpc.call("eth_noSuchMethod")
    assert caught.value.code == -32601


async def test_block__unknown(bench: Any) -> None:
    async with Rpc(bench.network.chain("a")) as rpc:
        with pytest.raises(NodeError, match="has no block 99999999"):
            await rpc.block(99_999_999)


async def test_block__by_tag_number_and_hash(bench: Any) -> None:
    async with Rpc(bench.network.chain("a")) as rpc:
        newest = await rpc.block()
        assert await rpc.block(newest.number) == await rpc.block(newest.hash) == newest


async def test_final_block__depth_counts_inclusively(bench: Any) -> None:
    chain = bench.network.chain("a").model_copy(update={"finality": Finality(policy="depth", depth=3)})
    await bench.devnet.chain("a").mine(3)
    async with Rpc(chain) as rpc:
        assert (await rpc.block()).number - (await rpc.final_block()).number == 2
