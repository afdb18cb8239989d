"""A mandate whose workflow was lost is taken up again by its id, and what was used is billed once."""

import asyncio

import pytest
from sqlmodel import select

from activities.lost import Lost
from connectionchain.billing import Bill, BillState, TopUp, dispute, termination
from connectionchain.errors import Unavailable
from connectionchain.events import Position
from connectionchain.evidence import Kind
from connectionchain.reconciliation import Problem
from ledger.database import Database
from ledger.subscriptions import Subscription
from tests.market import Market, until
from tests.workflows.test_billing import ended, in_seconds
from tests.workflows.test_reconciliation import findings, lost_evidence, recorded

MISTAKE = "an operator's mistake"


def newest(scene, mandate):
    """The run that goes on, whichever it is."""
    return scene.stack.client.engine.temporal.get_workflow_handle(mandate.id, result_type=Bill)


async def forgotten(scene, mandate) -> None:
    """Waits until the watch has found nobody to tell."""
    database = Database(scene.stack.settings.database)
    mine = select(Subscription.chain).where(Subscription.subscriber == mandate.id)
    async with asyncio.timeout(30):
        while True:
            async with database.read() as session:
                if (await session.exec(mine)).one() == "":
                    break
            await asyncio.sleep(0.05)
    await database.close()


async def taken_up(scene, mandate) -> None:
    (found,) = await findings(scene, mandate)
    assert (found.problem, found.done) == (Problem.ABANDONED, "mandate taken up again")


async def settled_once(scene):
    """A mandate of which one use, of 600, was paid."""
    market = await Market.open(scene, map=600)
    mandate = await market.mandate(threshold=100)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    await until(handle, lambda now: now.progress.settled == 600)
    return market, mandate, handle


async def test_lost__in_mid_life_goes_on_and_bills_each_use_once(scene) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate()
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "map")
    await until(handle, lambda now: now.progress.settled == 1200)
    await handle.terminate(MISTAKE)
    await market.use("map")
    await forgotten(scene, mandate)
    await market.use("map", "map")
    await taken_up(scene, mandate)
    again = newest(scene, mandate)
    await until(again, lambda now: now.progress.settled == 3000)
    await market.use("map")
    await until(again, lambda now: now.progress.uses == 6)
    result = await ended(market, mandate, again)
    assert (result.state, result.progress.settled, result.progress.uses) == (BillState.CLOSED, 3600, 6)
    assert await market.has() == [96_400, 3600]
    assert [use.total for use in await market.uses(mandate)] == [600, 1200, 1800, 2400, 3000, 3600]
    assert await findings(scene, mandate) == []
    assert (mandate, BillState.CLOSED) in await scene.stack.client.mandates.list()


async def test_lost__whose_history_cannot_be_read_finds_out_what_was_paid(scene, monkeypatch) -> None:
    market, mandate, handle = await settled_once(scene)
    await handle.terminate(MISTAKE)
    monkeypatch.setattr(Lost, "_ask", _nothing)
    await taken_up(scene, mandate)
    await market.use("map")
    await until(newest(scene, mandate), lambda now: now.progress.settled == 1200)
    result = await ended(market, mandate, newest(scene, mandate))
    assert (result.state, result.progress.settled, result.progress.entries) == (BillState.CLOSED, 1200, (10_000,))
    assert await market.has() == [98_800, 1200]


async def _nothing(*_):
    return None


async def test_lost__after_the_consumer_ended_it_pays_what_was_used_until_then(scene) -> None:
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate(dispute_window=4, threshold=100)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "table")
    await until(handle, lambda now: now.progress.uses == 2)
    await handle.execute_update("dispute", dispute(mandate, (await market.uses(mandate))[0].at, market.consumer))
    await handle.execute_update("terminate", termination(mandate, in_seconds(2), market.consumer))
    await until(handle, lambda now: now.state is BillState.CLOSING)
    await handle.terminate(MISTAKE)
    await market.use("map")  # after its end
    await taken_up(scene, mandate)
    result = await newest(scene, mandate).result()
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 150)
    assert await market.has() == [99_850, 150]


async def test_lost__while_a_top_up_is_on_its_way_pays_from_it(scene) -> None:
    """The lock is final, but its workflow was lost before it heard of it."""
    market = await Market.open(scene, map=600)
    mandate = await market.mandate(cap=1000, at_cap="record", threshold=100)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    before = (await handle.query("explain", result_type=Bill)).progress
    top_up = TopUp(number=1, amount=500, authorization=market.authorization(mandate, 1, 500))
    await handle.execute_update("top_up", top_up)
    await handle.terminate(MISTAKE)
    await market.use("map", "map")

    async def behind(*_):
        return (await handle.query("explain", result_type=Bill)).model_copy(update={"progress": before})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lost, "_ask", behind)
        found = await findings(scene, mandate)
    assert {each.done for each in found} == {"mandate taken up again"}
    await until(newest(scene, mandate), lambda now: now.progress.settled == 1200)
    result = await ended(market, mandate, newest(scene, mandate))
    assert (result.progress.settled, result.progress.entries) == (1200, (1000, 500))
    assert await market.has() == [98_800, 1200]


async def test_reconcile__lost_evidence_of_a_mandate_is_recorded_again(scene) -> None:
    market, mandate, handle = await settled_once(scene)
    await market.use("map")
    await ended(market, mandate, handle)
    async with lost_evidence(scene, mandate.id) as before:
        found = await findings(scene, mandate)
        after = await recorded(scene, mandate.id)
    assert (before[0].step.kind, before[0].amount) == (Kind.LOCKED, 10_000)
    assert (before[-1].step.kind, before[-1].amount) == (Kind.CLOSED, 1200)
    assert [each.done for each in found] == ["recorded"] * len(before)
    assert [(each.step, each.amount) for each in after] == [(each.step, each.amount) for each in before]


async def test_lost__while_it_looked_at_what_was_said(scene) -> None:
    """Not half said: the consumer is told to say it again."""
    market = await Market.open(scene)
    usage = (await market.usage()).model_copy(update={"chain": "eip155:404"})  # nobody is there to look at it
    mandate = await market.mandate(usage=usage, dispute_window=1)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    said = scene.stack.client.mandates.dispute(mandate, Position(block=1), market.consumer)
    saying = asyncio.create_task(said)
    async with asyncio.timeout(30):
        while "hold" not in await doing(handle):  # noqa: ASYNC110 - the engine is polled
            await asyncio.sleep(0.05)
    await handle.terminate(MISTAKE)
    with pytest.raises(Unavailable, match="before it could answer"):
        await saying


async def doing(handle) -> set[str]:
    """The activities that its workflow waits for."""
    return {each.activity_type.name for each in (await handle.describe()).raw_description.pending_activities}
