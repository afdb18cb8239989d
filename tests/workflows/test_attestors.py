"""Attestors that do not answer: one of three is not missed; without two of three every payer gets his own back."""

import asyncio
from datetime import timedelta

import pytest

from connectionchain import Cancellable, Confirmed, State
from connectionchain.errors import TooLate
from connectionchain.evidence import Kind
from connectionchain.settlement import Explanation


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Seconds in place of the minutes between decide_by, expiry and the last attempts."""
    monkeypatch.setattr("connectionchain.deal.SETTLEMENT_MARGIN", timedelta(seconds=1))
    monkeypatch.setattr("workflows.kit.ATTEST_ATTEMPT", timedelta(seconds=2))


async def test_one_of_three_dead__settles_and_refunds(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    shops = scene.account("A", shop)
    terms = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))}
    client = scene.stack.client

    async def after(say) -> Explanation:
        deal = scene.deal(scene.leg("A", hanako, shop), **terms)
        await scene.start(deal, hanako, attestors=("alice", "dead", "carol"))
        await scene.reaches(deal, State.LOCKED)
        await say(deal, shop)
        return await scene.ends(deal)

    settled, refunded = await asyncio.gather(after(client.confirm), after(client.cancel))
    assert (settled.state, refunded.state) == (State.SETTLED, State.REFUNDED)
    living = {scene.stack.network.attestors.members[name] for name in ("alice", "carol")}
    for result in (settled, refunded):
        assert result.certificate is not None
        assert set(result.certificate.attestors) == living


async def test_two_of_three_dead__reclaimed_after_expiry_and_said_so(scene, impatient) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    shops = scene.account("B", shop)
    legs = scene.leg("A", hanako, bank), scene.leg("B", bank, shop)
    deal = scene.deal(*legs, within=7, settle=4, condition=Confirmed(by=shops))
    await scene.start(deal, hanako, bank, attestors=("alice", "dead", "dead-too"))
    await scene.reaches(deal, State.LOCKED)
    await scene.stack.client.confirm(deal, shop)
    waiting = await scene.reaches(deal, State.COMMITTING)
    assert waiting.waiting_for == ("2 of 3 attestors to agree",)
    result = await scene.ends(deal)
    assert result.state is State.RECLAIMED
    assert result.certificate is None
    assert result.reason.startswith("too few attestors agree: ")
    assert "did not answer in time" in result.reason
    reclaims = [step for step in result.steps if step.kind is not Kind.LOCKED]
    assert [step.kind for step in reclaims] == [Kind.RECLAIMED] * 2
    assert all(step.block.time >= deal.expiry for step in reclaims)
    assert await scene.has("A", hanako, bank) + await scene.has("B", bank, shop) == [1_000_00, 0, 1_000_00, 0]
    with pytest.raises(TooLate):
        await scene.stack.client.confirm(deal, shop)
