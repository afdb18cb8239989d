"""Measures whole purchases on a real engine and real chains: `python -m bench.settlement [--deals N] [--json]`.

One process plays every role. Times are of a deal as its client sees it, and depend on the chains' block time.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from eth_account import Account
from eth_account.signers.local import LocalAccount
from rich.console import Console
from rich.table import Table

from connectionchain import Client, Confirmed, Deal, Leg, Network, State
from connectionchain.client.signing import authorizations
from devnet.settings import worker_settings
from devnet.stack import Devnet
from roles.settings import Settings
from worker import service

BLOCK_TIME = 1.0
CONCURRENT = 50


@dataclass
class Figures:
    """Seconds, but for counts. `events` and `activities` are of one purchase's history."""

    deals: int
    block_time: float
    settled: int
    per_second: float
    locked_p50: float
    locked_p99: float
    settled_p50: float
    settled_p99: float
    activities: int
    events: int


async def measure(deals: int) -> Figures:
    async with Devnet.temporary(chains=2, block_time=BLOCK_TIME) as devnet:
        path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
        async with service(Settings.load(path)):
            client = await Client.connect(devnet.network)
            drafts = [draft(devnet.network, devnet.keys) for _ in range(deals)]
            gate, began = asyncio.Semaphore(CONCURRENT), time.monotonic()
            times = await asyncio.gather(*(purchase(client, devnet.keys, each, gate) for each in drafts))
            took = time.monotonic() - began
            activities, events = await history(client, drafts[0][0])
    locked, settled = [each[0] for each in times], [each[1] for each in times]
    return Figures(
        deals,
        BLOCK_TIME,
        len(settled),
        deals / took,
        statistics.median(locked),
        p99(locked),
        statistics.median(settled),
        p99(settled),
        activities,
        events,
    )


def draft(network: Network, keys: dict[str, LocalAccount]) -> tuple[Deal, LocalAccount]:
    """A purchase from the liquidity account, and the new shop that will confirm it."""
    shop: LocalAccount = Account.create()
    a, b = network.tokens["A"], network.tokens["B"]
    decide_by = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    party = network.account("b", shop.address)
    liquidity_a, liquidity_b = (network.account(chain, keys["liquidity"].address) for chain in "ab")
    legs = (
        Leg(token=a.id, payer=network.account("a", keys["hanako"].address), payee=liquidity_a, amount=100),
        Leg(token=b.id, payer=liquidity_b, payee=party, amount=80),
    )
    deal = Deal(legs=legs, condition=Confirmed(by=party), decide_by=decide_by, expiry=decide_by + timedelta(hours=1))
    return deal, shop


async def purchase(
    client: Client, keys: dict[str, LocalAccount], drafted: tuple[Deal, LocalAccount], gate: asyncio.Semaphore
) -> tuple[float, float]:
    """Seconds from start to locked, and from confirmation to settled."""
    deal, shop = drafted
    async with gate:
        signed = [
            each for label in ("hanako", "liquidity") for each in authorizations(client.network, deal, keys[label])
        ]
        began = time.monotonic()
        await client.start(deal, signed)
        async for now in client.follow(deal):
            if now.state is State.LOCKED:
                break
        locked = time.monotonic()
        await client.confirm(deal, shop)
        result = await client.result(deal)
        if result.state is not State.SETTLED:
            raise SystemExit(f"{deal.id} ended {result.state}: {result.reason}")
        return locked - began, time.monotonic() - locked


async def history(client: Client, deal: Deal) -> tuple[int, int]:
    events = (await client.engine.temporal.get_workflow_handle(deal.id).fetch_history()).events
    kinds = Counter(each.WhichOneof("attributes") for each in events)
    return kinds["activity_task_scheduled_event_attributes"], len(events)


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[min(len(seconds) - 1, round(0.99 * len(seconds)))]


def show(figures: Figures) -> None:
    table = Table("what", "reached", title=f"{figures.deals} purchases, {CONCURRENT} at once, one process, two chains")
    for name, value in asdict(figures).items():
        table.add_row(name.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    async def run() -> Figures:
        figures = await measure(options.deals)
        gc.collect()
        await asyncio.sleep(0.3)  # the engine's runtime may crash at exit if its last tasks are still there
        return figures

    figures = asyncio.run(run())
    json.dump(asdict(figures), sys.stdout, indent=2) if options.json else show(figures)
    return int(figures.activities > 7 or figures.events > 60)


if __name__ == "__main__":
    raise SystemExit(main())
