"""Billing under load: use followed and billed, its lag, what an event costs on the token chain, and node calls a block.

Uses are made by the data contract's `useMany`, so that one machine can make as many as are to be followed.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from adapters.evm.pool import Pool
from adapters.evm.view import EvmView
from bench.roles import Role, devnet_of_roles, ledger_of
from connectionchain import Client
from connectionchain.billing import BillState
from connectionchain.escrow import call
from connectionchain.events import EventFilter
from connectionchain.mandate import AtCap, Mandate
from connectionchain.tariff import Tariff
from devnet.chains import Anvil
from devnet.deploy import data_access
from devnet.settings import worker_settings
from devnet.stack import Devnet
from ledger.database import Database
from ledger.subscriptions import Subscriptions
from roles.settings import Settings
from worker import service

BLOCK_TIME = 0.25
DATA_USED = "DataUsed(address indexed consumer, address indexed provider, bytes32 indexed dataset, uint256 size)"
DATASET = keccak(text="bench")
LAG_GOAL_S, GAS_GOAL = 2.0, 800


class Bench:
    """Hanako uses, the bookstore provides; use on chain b, payment in A."""

    def __init__(self, devnet: Devnet, client: Client, database: Database) -> None:
        self.devnet, self.client, self.database = devnet, client, database
        self.hanako, self.provider = devnet.keys["hanako"], devnet.keys["bookstore"]
        self.data: Anvil = devnet.chain("b")
        self.nonces: dict[str, int] = {}

    async def send(self, key: LocalAccount, data: str, gas: int = 20_000_000) -> str:
        """Into the data chain's pool; its hash."""
        if key.address not in self.nonces:
            self.nonces[key.address] = await self.data.quantity("eth_getTransactionCount", key.address, "pending")
        fields: dict[str, Any] = {
            "to": bytes.fromhex(data_access()[2:]),
            "data": data,
            "gas": gas,
            "type": 2,
            "value": 0,
        }
        fields |= {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 0, "chainId": int(self.data.id.reference)}
        fields |= {"nonce": self.nonces[key.address]}
        self.nonces[key.address] += 1
        raw = key.sign_transaction(fields).raw_transaction.to_0x_hex()
        return str(await self.data.call("eth_sendRawTransaction", raw))

    async def prepare(self) -> None:
        await self.send(self.provider, call("publish(bytes32,uint96)", DATASET, 100))
        await self.send(self.provider, call("grant(bytes32,address)", DATASET, self.hanako.address))
        await self.data.mine(3)

    async def use(self, times: int) -> str:
        """The transaction's hash."""
        return await self.send(self.hanako, call("useMany(bytes32[])", [DATASET] * times))

    async def seconds_to_finality(self, transaction: str) -> float:
        """From now until the data chain's node knows it as final: nobody could bill it earlier."""
        asked, view = time.monotonic(), EvmView(self.client.network.chain("b"))
        while not (receipt := await self.data.call("eth_getTransactionReceipt", transaction)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        while (await view.block("final")).number < int(receipt["blockNumber"], 16):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await view.close()
        return time.monotonic() - asked

    async def mandate(self, threshold: int, salt: int = 0, consumer: str | None = None) -> Mandate:
        """One base unit an event."""
        network, now = self.client.network, datetime.now(UTC).replace(microsecond=0)
        where = [{"field": "consumer", "value": consumer or self.hanako.address.lower()}]
        usage = EventFilter.model_validate(
            {
                "chain": network.chain("b").id,
                "contract": data_access(),
                "event": DATA_USED,
                "where": where,
                "since": await self.data.quantity("eth_blockNumber"),
            }
        )
        return Mandate(
            token=network.token("A").id,
            consumer=network.account("a", self.hanako.address),
            provider=network.account("a", self.provider.address),
            cap=10_000_000 if not salt else 1,
            tariff=Tariff(per_event=1),
            usage=usage,
            threshold=threshold,
            period=3600,
            at_cap=AtCap.RECORD,
            end=now + timedelta(hours=2),
            expiry=now + timedelta(hours=3),
            salt="0x" + salt.to_bytes(32).hex() if salt else "0x" + keccak(text=f"{threshold} {now}").hex(),
        )

    async def active(self, mandate: Mandate) -> None:
        await self.client.mandates.start(mandate, self.hanako)
        while (await self.client.mandates.explain(mandate)).state is not BillState.ACTIVE:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def throughput(bench: Bench, roles: Mapping[str, Role], rate: int, seconds: int) -> dict[str, Any]:
    """`rate` uses a second for so long; how long after the last one all of them are final, on the bill, and settled."""
    mandate = await bench.mandate(threshold=2 * rate)
    await bench.active(mandate)
    before = {name: role.seconds for name, role in roles.items()}
    started, made, last = time.monotonic(), 0, ""
    while (elapsed := time.monotonic() - started) < seconds:
        due = int((elapsed + BLOCK_TIME / 2) * rate) - made
        if due > 0:
            last = await bench.use(due)
            made += due
        await asyncio.sleep(BLOCK_TIME / 2)
    ended = time.monotonic()
    final = asyncio.create_task(bench.seconds_to_finality(last))
    while (bill := await bench.client.mandates.explain(mandate)).progress.uses < made:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    billed = time.monotonic()
    return {
        "uses": made,
        "offered_per_second": round(made / (ended - started)),
        "billed_per_second": round(made / (billed - started)),
        "lag_at_end_s": round(billed - ended, 2),
        "of_which_finality_s": round(await final, 2),
        "settled": bill.progress.settled,
        "settlements": bill.progress.settlements,
        "cpu_seconds": {name: round(role.seconds - before[name], 1) for name, role in roles.items()},
        "load_average": round(os.getloadavg()[0], 1),
    }


async def gas(bench: Bench) -> float:
    """Gas of an event where 100 are settled at once, in the steady state."""
    mandate, costs = await bench.mandate(threshold=100), []
    await bench.active(mandate)
    chain = bench.devnet.chain("a")
    for n in range(1, 4):
        await bench.use(100)
        while (await bench.client.mandates.explain(mandate)).progress.settlements < n:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        last = (await bench.client.mandates.explain(mandate)).progress.last
        assert last
        receipt = await chain.call("eth_getTransactionReceipt", last.transaction)
        costs.append(int(receipt["gasUsed"], 16))
    return costs[-1] / 100


async def follow_others(bench: Bench, mandates: int) -> None:
    """So many mandates more, of consumers who use nothing."""
    rows = [await bench.mandate(threshold=10**6, salt=n + 1, consumer=f"0x{n + 1:040x}") for n in range(mandates)]
    subscriptions = Subscriptions(bench.database)
    for row in rows:
        await subscriptions.subscribe(row.id, row.usage, row)


async def calls(bench: Bench, mandates: int, seconds: float = 8) -> float:
    """Node calls for each block of the data chain, in the process of all roles, while so many mandates are followed."""
    await follow_others(bench, mandates)
    counted, ask_node = Counter[str](), Pool._ask

    async def count(self: Pool, question: Any) -> Any:
        counted[self.chain.id] += 1
        return await ask_node(self, question)

    first = await bench.data.quantity("eth_blockNumber")
    Pool._ask = count  # type: ignore[method-assign]
    await asyncio.sleep(seconds)
    Pool._ask = ask_node  # type: ignore[method-assign]
    return round(counted[bench.data.id] / (await bench.data.quantity("eth_blockNumber") - first), 2)


async def one_process() -> dict[str, Any]:
    """What does not depend on how the roles are divided."""
    async with Devnet.temporary(chains=2, block_time=BLOCK_TIME) as devnet:
        path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
        settings = Settings.load(path)
        async with service(settings), opened(devnet, str(settings.database)) as bench:
            return {
                "calls_per_block": {n: await calls(bench, n) for n in (1, 100, 1000)},
                "gas_per_event": await gas(bench),
            }


async def follow(rate: int, seconds: int, others: int) -> dict[str, Any]:
    async with (
        devnet_of_roles(BLOCK_TIME) as (devnet, roles),
        opened(devnet, ledger_of("b", devnet.directory)) as bench,
    ):
        await follow_others(bench, others)
        return await throughput(bench, roles, rate, seconds) | {"mandates_beside": others}


@asynccontextmanager
async def opened(devnet: Devnet, database: str) -> AsyncIterator[Bench]:
    """`database` is that of the data chain's node."""
    ledger = Database(database)
    try:
        bench = Bench(devnet, await Client.connect(devnet.network), ledger)
        await bench.prepare()
        yield bench
    finally:
        await ledger.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="uses a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--others", type=int, default=1000, help="mandates followed beside")
    parser.add_argument("--only-follow", action="store_true", help="no gas, no node calls")
    options = parser.parse_args()
    found = {} if options.only_follow else asyncio.run(one_process())
    found["follow"] = asyncio.run(follow(options.rate, options.seconds, options.others))
    print(json.dumps(found, indent=2))
    quick = found["follow"]["lag_at_end_s"] < LAG_GOAL_S and found["follow"]["offered_per_second"] > 0.99 * options.rate
    return 0 if quick and found.get("gas_per_event", 0) < GAS_GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())
