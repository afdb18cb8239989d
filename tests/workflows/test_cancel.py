"""Who may end a deal before its decision, and what an operator's cancelling of the workflow means."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connectionchain import Cancellable, Confirmed, State
from connectionchain.errors import AlreadyDecided, NotEntitled, TooLate
from connectionchain.settlement import Explanation
from connectionchain.statements import Statement, signed

OPERATOR = Cancellable(operator=True)


async def test_operator__cancels_by_a_plain_signal_where_the_deal_says_so(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(), cancellable=OPERATOR)
    handle = await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    await handle.signal("cancel")
    result = await scene.ends(deal)
    assert (result.state, result.reason) == (State.REFUNDED, "cancellation by operator")
    assert await scene.has("A", hanako, shop) == [1_000_00, 0]


async def test_operator__cannot_cancel_otherwise(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(by=scene.account("A", shop)))
    handle = await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    await handle.signal("cancel")
    with pytest.raises(NotEntitled, match="operator") as refusal:
        await scene.stack.client.engine.update(deal.id, "cancel", Statement(kind="cancellation"))
    assert refusal.value.field == "cancellation.by"
    noted = await scene.stack.client.explain(deal)
    assert noted.state is State.LOCKED
    assert noted.reason == "refused: operator may not cancel this deal"
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_engine_cancel__is_the_operators_word(scene) -> None:
    """`temporal workflow cancel` refunds a deal that names its operator; another deal goes on to its deadline."""
    hanako, shop = await scene.person("A"), await scene.person()
    leg = scene.leg("A", hanako, shop)
    entitled = scene.deal(leg, condition=Confirmed(), cancellable=OPERATOR)
    other = scene.deal(leg, condition=Confirmed(), within=8)

    async def cancelled(deal) -> Explanation:
        handle = await scene.start(deal, hanako)
        await scene.reaches(deal, State.LOCKED)
        await handle.cancel()
        await handle.cancel()
        return await scene.ends(deal)

    refunded, late = await asyncio.gather(cancelled(entitled), cancelled(other))
    assert (refunded.state, refunded.reason) == (State.REFUNDED, "cancellation by operator")
    assert (late.state, late.reason) == (
        State.REFUNDED,
        "decide_by has passed; refused: operator may not cancel this deal",
    )
    assert refunded.steps[-1].block.time < entitled.decide_by
    assert late.steps[-1].block.time >= other.decide_by - timedelta(seconds=1)  # a chain's clock may be behind
    assert await scene.has("A", hanako, shop) == [1_000_00, 0]


async def test_engine_cancel__while_locking_waits_for_the_lock(scene) -> None:
    """No lock may land in escrow behind the refund's back."""
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(), cancellable=OPERATOR)
    handle = await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKING)
    await handle.cancel()
    result = await scene.ends(deal)
    assert result.state is State.REFUNDED
    assert [step.kind.value for step in result.steps] in (["locked", "refunded"], [])
    assert await scene.has("A", hanako) == [1_000_00]


async def test_cancel__only_until_the_time_stated(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    shops = scene.account("A", shop)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    rule = Cancellable(by=(shops,), until=until)
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(by=shops), cancellable=rule)
    await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    await asyncio.sleep(max(0, (until - datetime.now(UTC)).total_seconds() + 0.1))
    with pytest.raises(TooLate):
        await scene.stack.client.engine.update(deal.id, "cancel", signed("cancellation", deal.id, shops, shop))
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_cancel__before_authorisation_ends_the_deal_with_nothing_locked(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    rule = Cancellable(by=(scene.account("A", shop),))
    deal = scene.deal(scene.leg("A", hanako, shop), cancellable=rule)
    await scene.start(deal)
    await scene.stack.client.cancel(deal, shop)
    result = await scene.ends(deal)
    assert (result.state, result.steps) == (State.EXPIRED, ())
    with pytest.raises(TooLate):  # it has ended
        await scene.stack.client.authorize(deal, hanako)


async def test_confirm_after_cancel__and_cancel_after_confirm(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    shops = scene.account("A", shop)
    terms = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))}
    client = scene.stack.client

    async def say(first: str, second: str) -> Explanation:
        deal = scene.deal(scene.leg("A", hanako, shop), **terms)
        await scene.start(deal, hanako)
        await scene.reaches(deal, State.LOCKED)
        say_now = {"confirm": client.confirm, "cancel": client.cancel}
        await say_now[first](deal, shop)
        with pytest.raises(AlreadyDecided):
            await say_now[second](deal, shop)
        return await scene.ends(deal)

    cancelled, confirmed = await asyncio.gather(say("cancel", "confirm"), say("confirm", "cancel"))
    assert (cancelled.state, confirmed.state) == (State.REFUNDED, State.SETTLED)
    assert await scene.has("A", hanako, shop) == [1_000_00 - 100, 100]


async def test_confirm_and_cancel__at_once_exactly_one_wins(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    shops = scene.account("A", shop)
    terms = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))}
    client = scene.stack.client

    async def race(n: int) -> None:
        deal = scene.deal(scene.leg("A", hanako, shop), **terms)
        await scene.start(deal, hanako)
        await scene.reaches(deal, State.LOCKED)
        said = [client.confirm(deal, shop), client.cancel(deal, shop)]
        answers = await asyncio.gather(*(said if n % 2 else said[::-1]), return_exceptions=True)
        refused = [each for each in answers if isinstance(each, BaseException)]
        assert [type(each) for each in refused] == [AlreadyDecided]
        won = State.REFUNDED if isinstance(answers[0 if n % 2 else 1], AlreadyDecided) else State.SETTLED
        assert (await scene.ends(deal)).state is won

    await asyncio.gather(*(race(n) for n in range(4)))
