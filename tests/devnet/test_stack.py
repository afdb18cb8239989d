import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from connectionchain.errors import Unavailable
from connectionchain.escrow import call
from devnet.deploy import Currency
from devnet.ports import HOST, Ports, is_listening
from devnet.stack import Devnet


@pytest.fixture(scope="module")
async def net() -> AsyncIterator[Devnet]:
    async with Devnet.temporary(chains=3, block_time=0.2) as running:
        yield running


async def balance(net: Devnet, symbol: str, holder: str) -> int:
    token = net.network.token(symbol)
    chain = net.chain(net.network.chain_name(token.id.chain))
    question = {"to": token.id.address, "data": call("balanceOf(address)", net.keys[holder].address)}
    return int(await chain.call("eth_call", question, "latest"), 16)


async def test_escrow__has_final_code_on_every_chain(net: Devnet) -> None:
    assert list(net.network.chains) == ["a", "b", "c"]
    for name, chain in net.network.chains.items():
        assert len(await net.chain(name).call("eth_getCode", chain.escrow_address, "finalized")) > 1000
        assert chain.escrow_block > 0


async def test_currencies__the_shopper_has_one_of_them_only(net: Devnet) -> None:
    assert await balance(net, "A", "hanako") == 1_000_000_00
    assert await balance(net, "B", "hanako") == 0
    assert await balance(net, "B", "liquidity") == 1_000_000_00


async def test_second_start__deploys_and_mints_nothing_again(net: Devnet) -> None:
    before = net.network
    await net.start()
    assert net.network == before
    assert await balance(net, "A", "hanako") == 1_000_000_00


async def test_mint__adds(net: Devnet) -> None:
    before = await balance(net, "C", "bookstore")
    token = net.network.token("C").id.address
    await net.deployer("c").mint(token, net.keys["bookstore"].address, 7)
    assert await balance(net, "C", "bookstore") == before + 7


async def test_block_time__fractions_keep_honest_timestamps(net: Devnet) -> None:
    await net.chain("a").mine(30)
    block = await net.chain("a").call("eth_getBlockByNumber", "latest", False)
    assert int(block["number"], 16) > 30
    assert -5 < int(block["timestamp"], 16) - time.time() <= 0


async def test_killed_chain__comes_back_with_its_blocks(net: Devnet) -> None:
    chain = net.chain("b")
    await chain.saved()
    await chain.kill()
    assert not chain.alive
    await chain.start()
    assert await balance(net, "B", "liquidity") == 1_000_000_00


async def test_temporary__leaves_no_process_and_no_file() -> None:
    async with Devnet.temporary(chains=1) as net:
        processes = [service.child.process for service in net.services if service.child]
        assert len(processes) == 2
        assert net.network_file.exists()
    assert not any(psutil.pid_exists(process.pid) for process in processes)
    assert not net.directory.exists()


async def test_currencies__any_number_on_one_chain() -> None:
    both = [Currency(symbol, "a", f"Currency {symbol}", holders=("taro",)) for symbol in ("X", "Y")]
    async with Devnet.temporary(chains=1, currencies=both) as net:
        assert [await balance(net, symbol, "taro") for symbol in ("X", "Y")] == [1_000_000_00] * 2


async def test_start__that_fails_stops_what_it_started(net: Devnet, tmp_path: Path) -> None:
    free = Ports.free(2, ui=False)
    half = Devnet(tmp_path, free.model_copy(update={"chains": (free.chains[0], net.chain("a").port)}), block_time=1)
    with pytest.raises(Unavailable, match=f"port {net.chain('a').port} for chain b is taken by anvil"):
        await half.start()
    await half.close()
    assert not is_listening(free.temporal), HOST
    assert not is_listening(free.chains[0]), HOST
