"""A purchase across two currencies, as the paper tells it (section 5.1)."""

import asyncio
from collections import Counter
from datetime import timedelta

from temporalio.api.enums.v1 import EventType

from connectionchain import Confirmed, State
from connectionchain.evidence import Kind

MOST_ACTIVITIES, MOST_EVENTS = 7, 60
CHAIN_LAG = timedelta(seconds=1)
"""A block of a development chain may be stamped with the second before."""


async def test_purchase__confirmed(stack, scene, capsys) -> None:
    hanako, shop, liquidity = await scene.person("A"), await scene.person(), stack.keys["liquidity"]
    quote = await stack.client.quote("A", "10 B")
    before = await scene.has("A", hanako, liquidity) + await scene.has("B", liquidity, shop)
    deal = await stack.client.pay(quote, hanako, shop.address)
    await scene.reaches(deal, State.LOCKED)
    assert await scene.has("A", hanako, liquidity) == [before[0] - quote.pay.amount, before[1]]
    assert await scene.has("B", liquidity, shop) == [before[2] - 1000, before[3]]

    await stack.client.confirm(deal, shop)
    result = await scene.ends(deal)

    assert result.state is State.SETTLED
    assert (result.deadline, result.waiting_for, result.next_action) == (None, (), "")
    after = await scene.has("A", hanako, liquidity) + await scene.has("B", liquidity, shop)
    moved = [now - then for now, then in zip(after, before, strict=True)]
    assert moved == [-quote.pay.amount, quote.pay.amount, -1000, 1000]
    assert Counter(step.kind for step in result.steps) == {Kind.LOCKED: 2, Kind.RELEASED: 2}
    assert {(step.leg, step.kind) for step in result.steps} == {
        (leg, kind) for leg in (0, 1) for kind in (Kind.LOCKED, Kind.RELEASED)
    }
    history = await scene.handle(deal).fetch_history()
    activities = [e for e in history.events if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
    with capsys.disabled():
        print(f"\na two-leg purchase: {len(activities)} activities, {len(history.events)} history events")
    assert len(activities) <= MOST_ACTIVITIES
    assert len(history.events) <= MOST_EVENTS


async def test_purchase__sold_out(stack, scene) -> None:
    hanako, shop, liquidity = await scene.person("A"), await scene.person(), stack.keys["liquidity"]
    before = await scene.has("A", hanako, liquidity) + await scene.has("B", liquidity, shop)
    deal = await stack.client.pay(await stack.client.quote("12.50 A", "B"), hanako, shop.address)
    await scene.reaches(deal, State.LOCKED)
    await stack.client.cancel(deal, shop)
    result = await scene.ends(deal)
    assert result.state is State.REFUNDED
    assert result.reason == f"cancellation by {scene.account('B', shop)}"
    assert Counter(step.kind for step in result.steps) == {Kind.LOCKED: 2, Kind.REFUNDED: 2}
    assert await scene.has("A", hanako, liquidity) + await scene.has("B", liquidity, shop) == before


async def test_purchase__nobody_answers(scene) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    legs = scene.leg("A", hanako, bank), scene.leg("B", bank, shop)
    deal = scene.deal(*legs, within=6, condition=Confirmed(by=scene.account("B", shop)))
    await scene.start(deal, hanako, bank)
    waiting = await scene.reaches(deal, State.LOCKED)
    assert waiting.deadline == deal.decide_by
    assert waiting.waiting_for == (f"confirmation by {scene.account('B', shop)}",)
    result = await scene.ends(deal)
    assert result.state is State.REFUNDED
    assert "decide_by" in result.reason
    refunds = [step.block.time for step in result.steps if step.kind is Kind.REFUNDED]
    assert len(refunds) == 2
    assert all(deal.decide_by - CHAIN_LAG <= time < deal.expiry for time in refunds)
    assert await asyncio.gather(scene.has("A", hanako), scene.has("B", bank, shop)) == [[1_000_00], [1_000_00, 0]]
