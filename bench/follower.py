"""Node calls per block while many deals wait: they must grow with blocks, not with deals. `python -m bench.follower`.

Real engine, chains, contracts and workers; a proxy counts what the connection nodes ask of their nodes. In `Locking`
every deal waits for its locks to become final; in `Locked` for a confirmation.
"""

import argparse
import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connectionchain import Client, Confirmed, Deal, Leg, State
from connectionchain.client.signing import authorizations
from connectionchain.escrow import call
from connectionchain.network import Finality, Network
from connectionchain.settlement import SettlementStart
from devnet.settings import worker_settings
from devnet.stack import Devnet
from roles.settings import Settings
from tests.chaos.proxy import Proxy
from worker import service

SIZES = (1, 100, 1000)
BLOCK_TIME = 2.0
WINDOW_BLOCKS = 20
NEVER, AT_ONCE = 1_000, 1
"""Depths of finality: deals that stay in Locking, and deals that are Locked as soon as they are in a block."""

MOST_GROWTH = 2.0
"""The goal: with the most deals pending, calls per block are at most so many times those with one."""

STARTS_AT_ONCE = 20
MINED_AT_ONCE = 100
POLL_S = 1.0


@dataclass
class Row:
    """One measurement: calls of all chains' connection nodes together, per block of one chain."""

    state: State
    deals: int
    calls_per_block: float


@asynccontextmanager
async def at_work(depth: int) -> AsyncIterator[tuple[Devnet, Client, Proxy]]:
    """A devnet whose workers, in this process, reach their chains through the proxy."""
    async with AsyncExitStack() as stack:
        devnet = await stack.enter_async_context(Devnet.temporary(chains=2, block_time=BLOCK_TIME))
        for chain in devnet.chains.values():
            for _ in range(depth // MINED_AT_ONCE):  # the escrow must stand in the newest final block
                await chain.mine(MINED_AT_ONCE)
        upstreams = {name: each.url for name, each in devnet.chains.items()}
        proxy = await stack.enter_async_context(Proxy(upstreams).running())
        network = _through(devnet.network, proxy, depth)
        path = devnet.directory / "bench.json"
        path.write_text(network.model_dump_json())
        settings = Settings.load(worker_settings(network, path, devnet.directory, devnet.keys))
        # others look on their own, and now and then: here the connection nodes are measured
        alone = settings.model_copy(update={"attestors": (), "log": None, "liquidity": None, "reconcile_minutes": 600})
        await stack.enter_async_context(service(alone))
        yield devnet, await Client.connect(network), proxy


def _through(network: Network, proxy: Proxy, depth: int) -> Network:
    finality = Finality(policy="depth", depth=depth)
    chains = {
        name: each.model_copy(update={"rpc": (proxy.url(f"nodes/{name}"),), "finality": finality})
        for name, each in network.chains.items()
    }
    return network.model_copy(update={"chains": chains})


async def start(devnet: Devnet, client: Client, number: int) -> None:
    """So many purchases, in which hanako pays one unit and receives one."""
    limit = asyncio.Semaphore(STARTS_AT_ONCE)

    async def one() -> None:
        async with limit:
            deal = _deal(devnet, client.network)
            keys = devnet.keys["hanako"], devnet.keys["liquidity"]
            given = tuple(each for key in keys for each in authorizations(client.network, deal, key))
            names = client.network.attestors
            await client.engine.start(
                SettlementStart(
                    deal=deal, authorizations=given, attestors=tuple(names.members), threshold=names.threshold
                ),
                "a measured deal",
            )

    await asyncio.gather(*(one() for _ in range(number)))


def _deal(devnet: Devnet, network: Network) -> Deal:
    hanako, liquidity = devnet.keys["hanako"].address, devnet.keys["liquidity"].address
    a, b = network.token("A").id, network.token("B").id
    legs = (
        Leg(token=a, payer=network.account("a", hanako), payee=network.account("a", liquidity), amount=1),
        Leg(token=b, payer=network.account("b", liquidity), payee=network.account("b", hanako), amount=1),
    )
    decide_by = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=6)
    return Deal(
        legs=legs, condition=Confirmed(by=legs[1].payee), decide_by=decide_by, expiry=decide_by + timedelta(hours=1)
    )


async def all_in_escrow(devnet: Devnet, client: Client, state: State, deals: int) -> None:
    """Waits until every lock is in a block, and every deal is where it is to be measured."""
    locks = dict.fromkeys(devnet.chains, 0)
    while min(locks.values()) < deals:
        await asyncio.sleep(POLL_S)
        locks = {name: await _locks(devnet, name) for name in devnet.chains}
    query = f"WorkflowType = 'Settlement' AND DealState = '{state}'"
    while (await client.engine.temporal.count_workflows(query)).count < deals:  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    await asyncio.sleep(5 * BLOCK_TIME)  # everybody has looked once more


async def _locks(devnet: Devnet, chain: str) -> int:
    """How many units the escrow of a chain holds: one for each deal."""
    token, escrow = devnet.network.token(chain.upper()).id.address, devnet.network.chain(chain).escrow_address
    data = call("balanceOf(address)", escrow)
    return int(await devnet.chain(chain).call("eth_call", {"to": token, "data": data}, "latest"), 16)


async def calls_per_block(devnet: Devnet, proxy: Proxy) -> float:
    chain = devnet.chain("a")
    first, calls = await chain.quantity("eth_blockNumber"), proxy.calls.total()
    await asyncio.sleep(WINDOW_BLOCKS * BLOCK_TIME)
    return (proxy.calls.total() - calls) / (await chain.quantity("eth_blockNumber") - first)


async def measure(state: State, depth: int, sizes: list[int]) -> list[Row]:
    rows, running = [], 0
    async with at_work(depth) as (devnet, client, proxy):
        for size in sizes:
            await start(devnet, client, size - running)
            running = size
            await all_in_escrow(devnet, client, state, size)
            rows.append(Row(state, size, await calls_per_block(devnet, proxy)))
            print(f"{state:<8} {size:>5} deals  {rows[-1].calls_per_block:6.1f} calls per block", flush=True)
    return rows


async def main(most: int) -> int:
    sizes = [size for size in SIZES if size <= most]
    print(f"{WINDOW_BLOCKS} blocks of {BLOCK_TIME:g} s each, 2 chains, 2 legs a deal; calls of both chains together")
    began, missed = time.monotonic(), False
    for state, depth in ((State.LOCKING, NEVER), (State.LOCKED, AT_ONCE)):
        rows = await measure(state, depth, sizes)
        missed = missed or rows[-1].calls_per_block > MOST_GROWTH * rows[0].calls_per_block
    print(f"goal: at most {MOST_GROWTH:g} times the calls of one deal: {'MISSED' if missed else 'met'}")
    print(f"{time.monotonic() - began:.0f} s")
    return int(missed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.follower", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="leave out larger numbers of deals")
    code = asyncio.run(main(parser.parse_args().most))
    sys.stdout.flush()
    gc.collect()
    os._exit(code)  # winding down, the engine's client may crash the interpreter
