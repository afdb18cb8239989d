"""A mandate of a million uses: what grows with it, and what must not.

All of it is real: the uses are events of the data contract (many to a transaction), followed by the data chain's node,
billed, signed for by three attestors with bills of their own, settled on the token chain. Each role is a process.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temporalio.client import Client

from bench.billing import BLOCK_TIME, Bench, opened
from bench.roles import Role, devnet_of_roles, ledger_of
from connectionchain.billing import Bill
from connectionchain.mandate import Mandate
from connectionchain.network import Engine
from connectionchain.tariff import Tariff, Tier

SIZE = 100
"""Units of each use, as the bench's dataset is published."""

TARIFF = Tariff(per_event=1, tiers=(Tier(up_to=10_000_000, price="1/30"), Tier(price="1/70")))
MOST_BEHIND_S = 5
"""The bench makes no more use while the bill is so many seconds behind it."""

MOST_HISTORY, MOST_GROWTH = 2 * 4096, 1.5
"""Goals: events of one run (the engine suggests at 4,096 to continue as new), and the most memory each process has had
at the end compared with that at a tenth of the way."""


async def make(bench: Bench, mandate: Mandate, rate: int, first: int, last: int) -> None:
    """Uses number `first` + 1 to `last`, `rate` a second, all on the bill when this returns."""
    made = billed = first
    while billed < last:
        billed = (await bench.client.mandates.explain(mandate)).progress.uses
        if made < last and made - billed < MOST_BEHIND_S * rate:
            times = min(last - made, int(rate * BLOCK_TIME))
            await bench.use(times)
            made += times
        await asyncio.sleep(BLOCK_TIME)


async def runs(engine: Engine, mandate: Mandate) -> list[tuple[int, int]]:
    """Of each run of its workflow the events and bytes of its history."""
    client = await Client.connect(engine.address, namespace=engine.namespace)
    found = [each async for each in client.list_workflows(f'WorkflowId = "{mandate.id}"')]
    handles = [client.get_workflow_handle(each.id, run_id=each.run_id) for each in found]
    described = [(await handle.describe()).raw_description.workflow_execution_info for handle in handles]
    return [(each.history_length, each.history_size_bytes) for each in described]


async def ended(bench: Bench, mandate: Mandate) -> Bill:
    await bench.client.mandates.terminate(mandate, bench.hanako)
    while not (bill := await bench.client.mandates.explain(mandate)).state.terminal:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    return bill


def memory(roles: Mapping[str, Role]) -> dict[str, int]:
    """The most of each process so far, in mebibytes."""
    return {name: role.memory >> 20 for name, role in roles.items()}


def stored(directory: Path) -> dict[str, int]:
    """The bills' databases, in mebibytes."""
    return {each.name: each.stat().st_size >> 20 for each in directory.glob("*.db")}


async def measure(uses: int, rate: int) -> dict[str, Any]:
    async with (
        devnet_of_roles(BLOCK_TIME) as (devnet, roles),
        opened(devnet, ledger_of("b", devnet.directory)) as bench,
    ):
        mandate = (await bench.mandate(threshold=2 * rate)).model_copy(update={"tariff": TARIFF, "units": "size"})
        await bench.active(mandate)
        started = time.monotonic()
        await make(bench, mandate, rate, 0, uses // 10)
        early = memory(roles)
        await make(bench, mandate, rate, uses // 10, uses)
        seconds = time.monotonic() - started
        late, bill = memory(roles), await ended(bench, mandate)
        histories = await runs(devnet.network.engine, mandate)
        return {
            "uses": bill.progress.uses,
            "seconds": round(seconds),
            "per_second": round(uses / seconds),
            "settlements": bill.progress.settlements,
            "runs": len(histories),
            "longest_history": {"events": max(e for e, _ in histories), "bytes": max(b for _, b in histories)},
            "peak_memory_mib": {"at_a_tenth": early, "at_the_end": late},
            "databases_mib": stored(devnet.directory),
            "cpu_seconds": {name: round(role.seconds) for name, role in roles.items()},
            "paid": bill.progress.settled,
            "due_by_tariff": uses + TARIFF.price(0, uses * SIZE) - 1,
            "state": bill.state,
        }


def failures(found: Mapping[str, Any]) -> list[str]:
    early, late = found["peak_memory_mib"]["at_a_tenth"], found["peak_memory_mib"]["at_the_end"]
    wrong = {
        "the bill is not the tariff's": found["paid"] != found["due_by_tariff"],
        "a history is too long": found["longest_history"]["events"] > MOST_HISTORY,
    }
    grown = [f"{name} takes more and more memory" for name in early if late[name] > MOST_GROWTH * early[name]]
    return [*(what for what, is_so in wrong.items() if is_so), *grown]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uses", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=2500, help="uses a second, at most")
    options = parser.parse_args()
    found = asyncio.run(measure(options.uses, options.rate))
    print(json.dumps(found | {"failures": failures(found)}, indent=2))
    return int(bool(failures(found)))


if __name__ == "__main__":
    raise SystemExit(main())
