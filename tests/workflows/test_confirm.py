"""Whose word counts as a confirmation: the named account's own signature over this very deal, and nothing else."""

import asyncio

import pytest
from eth_keys.constants import SECPK1_N

from connectionchain import AccountId, Confirmed, State
from connectionchain.authorization import Erc3009, erc3009_typed_data
from connectionchain.errors import InvalidInput, NotEntitled
from connectionchain.settlement import Explanation, LegAuthorization
from connectionchain.statements import Statement, signed, statement


async def locked(scene, shop, *, condition=None):
    hanako = await scene.person("A")
    condition = condition or Confirmed(by=scene.account("A", shop))
    deal = scene.deal(scene.leg("A", hanako, shop), condition=condition)
    await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    return deal


async def say(scene, deal, said: Statement) -> Explanation:
    return await scene.stack.client.engine.update(deal.id, "confirm", said)


async def test_stranger__is_not_entitled(scene) -> None:
    shop, stranger = await scene.person(), await scene.person()
    deal = await locked(scene, shop)
    theirs = scene.account("A", stranger)
    with pytest.raises(NotEntitled) as refusal:
        await scene.stack.client.confirm(deal, stranger)
    assert refusal.value.field == "key"
    for said in (signed("confirmation", deal.id, theirs, stranger), Statement(kind="confirmation")):
        with pytest.raises(NotEntitled) as refusal:
            await say(scene, deal, said)
        assert refusal.value.field == "confirmation.by"
        assert str(scene.account("A", shop)) in refusal.value.remedy
    with pytest.raises(InvalidInput) as refusal:
        await say(scene, deal, signed("cancellation", deal.id, scene.account("A", shop), shop))
    assert refusal.value.field == "kind"
    assert (await scene.stack.client.explain(deal)).state is State.LOCKED
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED


def _forged(_deal, shops, _shop, stranger):
    return statement("confirmation", shops, _deal.id).sign(stranger)


def _replayed(deal, shops, shop, _stranger):
    return statement("confirmation", shops, deal.model_copy(update={"salt": "0x" + "11" * 32}).id).sign(shop)


def _malleable(deal, shops, shop, _stranger):
    """The same signature with n - s: a second encoding of one that is valid."""
    raw = bytes.fromhex(statement("confirmation", shops, deal.id).sign(shop)[2:])
    s = SECPK1_N - int.from_bytes(raw[32:64])
    return "0x" + (raw[:32] + s.to_bytes(32) + bytes([55 - raw[64]])).hex()


def _foreign_chain(deal, shops, shop, _stranger):
    other = AccountId(f"eip155:31339:{shops.address}")
    return statement("confirmation", other, deal.id).sign(shop)


def _empty(_deal, _shops, _shop, _stranger):
    return "0x"


def _too_short(_deal, _shops, _shop, _stranger):
    return "0x" + "00" * 64


async def test_false_signature__gets_no_attestation_and_leaves_room_for_the_true_one(scene) -> None:
    async def false_then_true(forge) -> None:
        shop, stranger = await scene.person(), await scene.person()
        deal = await locked(scene, shop)
        shops = scene.account("A", shop)
        false = Statement(kind="confirmation", by=shops, signature=forge(deal, shops, shop, stranger))
        await say(scene, deal, false)
        now = await scene.until(deal, lambda now: now.state is State.LOCKED and now.reason)
        assert "not this account's over this deal" in now.reason, forge.__name__
        assert now.certificate is None
        assert now.waiting_for == (f"confirmation by {shops}",)
        await scene.stack.client.confirm(deal, shop)
        result = await scene.ends(deal)
        assert (result.state, result.reason) == (State.SETTLED, ""), forge.__name__
        assert await scene.has("A", shop) == [100]

    forgeries = (_forged, _replayed, _malleable, _foreign_chain, _empty, _too_short)
    await asyncio.gather(*(false_then_true(forge) for forge in forgeries))


async def test_foreign_account__of_the_right_key_is_not_the_party(scene) -> None:
    """The same key on another chain is another account: a contract may live at that address there."""
    shop = await scene.person()
    deal = await locked(scene, shop)
    with pytest.raises(NotEntitled):
        await say(scene, deal, signed("confirmation", deal.id, scene.account("B", shop), shop))
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_contract_account__confirms_with_its_owners_signature(scene) -> None:
    owner, stranger = await scene.person(), await scene.person()
    wallet = await scene.wallet(owner, "A")
    deal = await locked(scene, wallet)
    account = scene.account("A", wallet)
    await say(scene, deal, signed("confirmation", deal.id, account, stranger))
    await scene.until(deal, lambda now: now.state is State.LOCKED and now.reason)
    await say(scene, deal, signed("confirmation", deal.id, account, owner))
    result = await scene.ends(deal)
    assert result.state is State.SETTLED
    assert await scene.has("A", wallet) == [100]


async def test_contract_account__pays_with_its_owners_signature(stack, scene) -> None:
    owner, shop = await scene.person(), await scene.person()
    wallet = await scene.wallet(owner, "A")
    await scene.mint("A", wallet)
    deal = scene.deal(scene.leg("A", wallet, shop))
    until = int(deal.decide_by.timestamp())
    typed = erc3009_typed_data(
        scene.terms(deal, 0)[0], stack.network.chain("a").escrow, stack.network.token("A"), until
    )
    given = LegAuthorization(leg=0, authorization=Erc3009(valid_before=until, signature=typed.sign(owner)))
    await scene.start(deal, given=[given])
    result = await scene.ends(deal)
    assert (result.state, result.reason) == (State.SETTLED, "")
    assert await scene.has("A", wallet, shop) == [1_000_00 - 100, 100]
