"""Deals wait for their condition, whatever it is made of."""

import asyncio
from datetime import timedelta

from connectionchain import AllOf, AnyOf, Confirmed, State, TimeReached


async def test_all_of__waits_for_every_part(scene) -> None:
    hanako, shop, judge = await scene.person("A"), await scene.person(), await scene.person()
    by = {who: scene.account("A", who) for who in (shop, judge)}
    deal = scene.deal(
        scene.leg("A", hanako, shop), condition=AllOf(of=tuple(Confirmed(by=account) for account in by.values()))
    )
    await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    half = await scene.stack.client.confirm(deal, shop)
    assert half.state is State.LOCKED
    assert half.waiting_for == (f"confirmation by {by[judge]}",)
    await scene.stack.client.confirm(deal, judge)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_any_of__goes_on_with_the_first(scene) -> None:
    hanako, shop, judge = await scene.person("A"), await scene.person(), await scene.person()
    either = AnyOf(of=(Confirmed(by=scene.account("A", shop)), Confirmed(by=scene.account("B", judge))))
    deal = scene.deal(scene.leg("A", hanako, shop), condition=either)
    await scene.start(deal, hanako)
    waiting = await scene.reaches(deal, State.LOCKED)
    assert waiting.waiting_for == (
        f"confirmation by {scene.account('A', shop)} or confirmation by {scene.account('B', judge)}",
    )
    await scene.stack.client.confirm(deal, judge)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_time_reached__commits_by_itself_and_not_before(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    draft = scene.deal(scene.leg("A", hanako, shop))
    at = draft.decide_by - timedelta(seconds=115)
    deal = draft.model_copy(update={"condition": TimeReached(at=at)})
    await scene.start(deal, hanako)
    result = await scene.ends(deal)
    assert result.state is State.SETTLED
    assert result.steps[-1].block.time >= at - timedelta(seconds=1)  # a chain's clock may be a second behind


async def test_operator_confirms__by_a_plain_signal_without_argument(scene) -> None:
    """As the engine's web UI and command line send it."""
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed())
    handle = await scene.start(deal, hanako)
    waiting = await scene.reaches(deal, State.LOCKED)
    assert waiting.waiting_for == ("confirmation by an operator",)
    await handle.signal("confirm")
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await scene.has("A", shop) == [100]


async def test_confirmation__before_the_legs_are_locked_counts(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(by=scene.account("A", shop)))
    await scene.start(deal)
    early = await scene.stack.client.confirm(deal, shop)
    assert early.state is State.AWAITING_AUTHORIZATION
    await asyncio.gather(scene.stack.client.authorize(deal, hanako), scene.ends(deal))
    assert (await scene.stack.client.explain(deal)).state is State.SETTLED
