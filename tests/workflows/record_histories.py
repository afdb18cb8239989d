"""Records the golden histories that test_replay.py replays: `pytest tests/workflows/record_histories.py` (70 s).

To be run when a change is meant to change what new deals do; deals on their way must replay, so old histories stay
(`workflow.patched`). One history for each way a deal can end, and one of a mandate with all that can happen to it.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from connectionchain import Cancellable, Confirmed, Deal, State
from connectionchain.billing import BillState
from connectionchain.statements import signed
from tests.market import Market, until
from tests.workflows.test_billing import in_seconds, passed_over

HISTORIES = Path(__file__).parent / "histories"


def without_places(told: Any) -> Any:
    """The same without what tells where it was recorded: stack traces, host names. No replay looks at them."""
    match told:
        case dict():
            kept = {key: without_places(value) for key, value in told.items() if key != "stackTrace"}
            return kept | {"identity": "worker"} if "identity" in kept else kept
        case list():
            return [without_places(each) for each in told]
        case str() if "@" in told and told.split("@")[0].isdigit():
            return "worker"
    return told


async def write(name: str, handle: WorkflowHandle[Any, Any]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    told = without_places(json.loads((await handle.fetch_history()).to_json()))
    (HISTORIES / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n")


async def test_record_billing(scene) -> None:
    market, mandates = await Market.open(scene, map=600, table=150), scene.stack.client.mandates
    mandate = await market.mandate(cap=1000, threshold=100, at_cap="record", dispute_window=5, period=6)
    await mandates.start(mandate, market.consumer)
    handle = scene.stack.client.engine.temporal.get_workflow_handle(mandate.id)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "table")
    await until(handle, lambda now: now.progress.uses == 2)
    await mandates.dispute(mandate, (await market.uses(mandate))[1].at, market.consumer)
    await until(handle, lambda now: now.progress.settled == 600)
    await market.use("map")
    await mandates.top_up(mandate, 500, market.consumer)
    await until(handle, lambda now: now.progress.settled == 1200)
    await mandates.terminate(mandate, market.consumer)
    result = await mandates.result(mandate, 90)
    assert (result.state, result.progress.settled, result.progress.uses) == (BillState.CLOSED, 1200, 3)
    await write("billed", handle)


async def test_record_recounting(scene) -> None:
    market, mandates = await Market.open(scene, map=600), scene.stack.client.mandates
    mandate = await market.mandate()
    await mandates.start(mandate, market.consumer)
    handle = scene.stack.client.engine.temporal.get_workflow_handle(mandate.id)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await passed_over(scene, market, mandate)
    await market.use("map")
    await mandates.terminate(mandate, market.consumer, in_seconds(5))
    result = await mandates.result(mandate, 90)
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 600)
    await write("recounted", handle)


async def test_record(scene) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    shops, client = scene.account("B", shop), scene.stack.client

    def deal(**terms) -> Deal:
        legs = scene.leg("A", hanako, bank), scene.leg("B", bank, shop)
        usual = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))}
        return scene.deal(*legs, **usual | terms)

    async def settled() -> Deal:
        started = deal()
        await scene.start(started, hanako)
        await client.authorize(started, bank)
        await scene.reaches(started, State.LOCKED)
        await client.confirm(started, shop)
        return started

    async def cancelled() -> Deal:
        started = deal()
        await scene.start(started, hanako, bank)
        await scene.reaches(started, State.LOCKED)
        await client.cancel(started, shop)
        return started

    async def late() -> Deal:
        started = deal(within=6)
        await scene.start(started, hanako, bank)
        return started

    async def unlockable() -> Deal:
        poor = await scene.person()
        started = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", poor, shop))
        await scene.start(started, hanako, poor)
        return started

    async def expired() -> Deal:
        started = deal(within=2)
        await scene.start(started, hanako)
        return started

    async def reclaimed() -> Deal:
        started = deal(within=7, settle=60)
        await scene.start(started, hanako, bank, attestors=("alice", "dead", "dead-too"))
        await scene.reaches(started, State.LOCKED)
        await client.confirm(started, shop)
        return started

    async def forged_then_true() -> Deal:
        started = deal()
        handle = await scene.start(started, hanako, bank)
        await scene.reaches(started, State.LOCKED)
        forged = signed("confirmation", started.id, shops, bank)
        await handle.signal("confirm", forged)
        await scene.until(started, lambda now: now.state is State.LOCKED and now.reason)
        await client.confirm(started, shop)
        return started

    async def engine_cancelled() -> Deal:
        started = deal(condition=Confirmed(), cancellable=Cancellable(operator=True))
        handle = await scene.start(started, hanako, bank)
        await scene.reaches(started, State.LOCKED)
        await handle.cancel()
        return started

    async def record(live, ends: State) -> None:
        started = await live()
        result = await client.result(started, 150)
        assert result.state is ends, live.__name__
        await write(live.__name__, scene.handle(started))

    await asyncio.gather(
        record(settled, State.SETTLED),
        record(cancelled, State.REFUNDED),
        record(late, State.REFUNDED),
        record(unlockable, State.REFUNDED),
        record(expired, State.EXPIRED),
        record(reclaimed, State.RECLAIMED),
        record(forged_then_true, State.SETTLED),
        record(engine_cancelled, State.REFUNDED),
    )
