"""How payers let their legs be locked, and what becomes of a deal when one of them cannot."""

import asyncio
from datetime import timedelta

import pytest

from connectionchain import Confirmed, State
from connectionchain.authorization import Erc3009, OnChain, erc3009_typed_data, sign_erc3009, sign_permit
from connectionchain.errors import AlreadyDecided, BadSignature, InsufficientFunds, InvalidInput, TooLate
from connectionchain.escrow import TERMS, call
from connectionchain.evidence import Kind
from connectionchain.settlement import LegAuthorization
from connectionchain.typed_data import TypedData

FAR = 2**39


def permit(scene, deal, leg, key, nonce=0) -> LegAuthorization:
    network = scene.stack.network
    escrow, token = network.chain(deal.legs[leg].chain).escrow, network.token(deal.legs[leg].token)
    return LegAuthorization(
        leg=leg, authorization=sign_permit(scene.terms(deal, leg)[0], escrow, token, nonce, FAR, key)
    )


async def test_authorize__later_by_update(scene) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop))
    await scene.start(deal, hanako)
    waiting = await scene.stack.client.explain(deal)
    assert waiting.state is State.AWAITING_AUTHORIZATION
    assert waiting.waiting_for == (f"authorisation of leg 1 by {scene.account('B', bank)}",)
    assert waiting.deadline == deal.decide_by
    await scene.stack.client.authorize(deal, bank)
    await scene.reaches(deal, State.LOCKING, State.LOCKED, State.COMMITTING, State.SETTLED)
    with pytest.raises((AlreadyDecided, TooLate)):
        await scene.stack.client.authorize(deal, bank)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_authorize__by_a_plain_signal(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    handle = await scene.start(deal)
    await handle.signal("authorize", scene.signed(deal, hanako)[0])
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_authorize__of_a_leg_there_is_not(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    await scene.start(deal)
    stray = scene.signed(deal, hanako)[0].model_copy(update={"leg": 1})
    with pytest.raises(InvalidInput, match="no leg 1") as refusal:
        await scene.stack.client.engine.update(deal.id, "authorize", stray)
    assert (refusal.value.field, refusal.value.remedy) == ("leg", "legs are numbered 0 to 0")
    await scene.stack.client.authorize(deal, hanako)
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_authorize__never_given_expires_with_nothing_locked(scene) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop), within=2)
    await scene.start(deal, hanako)
    result = await scene.ends(deal)
    assert (result.state, result.reason, result.steps) == (State.EXPIRED, "decide_by has passed", ())
    assert await scene.has("A", hanako) == [1_000_00]


async def test_start__twice_at_once_is_one_deal(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    given = scene.signed(deal, hanako)
    client = scene.stack.client
    await asyncio.gather(*(client.start(deal, given) for _ in range(4)))
    result = await scene.ends(deal)
    assert result.state is State.SETTLED
    await client.start(deal, given)  # it has ended: nothing happens again
    locked = [step for step in result.steps if step.kind is Kind.LOCKED]
    entries = (await client.record(deal)).entries
    assert (len(locked), len(entries)) == (1, 1)
    assert await scene.has("A", hanako, shop) == [1_000_00 - 100, 100]


async def test_payer__without_funds(scene) -> None:
    """The client refuses it; a deal started past the client gives everything back and says why."""
    hanako, poor, shop = await scene.person("A"), await scene.person("B", amount=99), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, poor), scene.leg("B", poor, shop, 100))
    with pytest.raises(InsufficientFunds) as refusal:
        await scene.stack.client.start(deal, scene.signed(deal, hanako, poor))
    assert refusal.value.field == "payer"
    await scene.start(deal, hanako, poor)
    result = await scene.ends(deal)
    assert result.state is State.REFUNDED
    assert result.reason.startswith("leg 1 cannot be locked: InsufficientFunds")
    assert {step.leg for step in result.steps} <= {0}
    assert await scene.has("A", hanako, poor) + await scene.has("B", poor, shop) == [1_000_00, 0, 99, 0]


async def test_payer__whose_permit_is_void_and_who_approved_nothing(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    await scene.start(deal, given=[permit(scene, deal, 0, hanako, nonce=7)])
    result = await scene.ends(deal)
    assert result.state is State.REFUNDED
    assert result.reason.startswith("leg 0 cannot be locked: InsufficientFunds")
    assert "Allowance" in result.reason
    assert await scene.has("A", hanako, shop) == [1_000_00, 0]


async def test_permit__locks_a_leg(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    await scene.start(deal, given=[permit(scene, deal, 0, hanako)])
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await scene.has("A", hanako, shop) == [1_000_00 - 100, 100]


async def test_on_chain__the_payer_locks_with_his_own_transaction(stack, scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop))
    await scene.start(deal, given=[LegAuthorization(leg=0, authorization=OnChain())])
    await scene.reaches(deal, State.LOCKING)
    escrow, terms = stack.network.chain("a").escrow_address, scene.terms(deal, 0)[0]
    await scene.transact("a", hanako, terms.token, call("approve(address,uint256)", escrow, terms.amount))
    receipt = await scene.transact("a", hanako, escrow, call(f"lock({TERMS})", terms.row))
    result = await scene.ends(deal)
    assert result.state is State.SETTLED
    assert result.steps[0].transaction == receipt["transactionHash"]
    assert await scene.has("A", hanako, shop) == [1_000_00 - 100, 100]


async def test_on_chain__not_locked_in_time(scene) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop), within=4)
    await scene.start(deal, hanako, given=[LegAuthorization(leg=1, authorization=OnChain())])
    result = await scene.ends(deal)
    assert result.state is State.REFUNDED
    assert [(step.leg, step.kind) for step in result.steps] == [(0, Kind.LOCKED), (0, Kind.REFUNDED)]
    assert await scene.has("A", hanako) == [1_000_00]


def _foreign(typed: TypedData, chain: int) -> TypedData:
    return TypedData({**typed.domain, "chainId": chain}, typed.type, typed.fields, typed.message)


async def test_wrong_authorisation__of_somebody_else_of_another_chain_or_another_deal(stack, scene) -> None:
    """Each is refused by the client before anything starts; past the client, nothing can be locked with it."""
    hanako, thief, shop = await scene.person("A"), await scene.person(), await scene.person()
    escrow, token = stack.network.chain("a").escrow, stack.network.token("A")
    deal = scene.deal(scene.leg("A", hanako, shop))
    dearer = deal.model_copy(update={"legs": (scene.leg("A", hanako, shop, 200),)})
    until = int(deal.decide_by.timestamp())

    def by_thief(each):
        return sign_erc3009(scene.terms(each, 0)[0], escrow, token, until, thief)

    def for_another_chain(each):
        typed = _foreign(erc3009_typed_data(scene.terms(each, 0)[0], escrow, token, until), 31338)
        return by_thief(each).model_copy(update={"signature": typed.sign(hanako)})

    def of_another_deal(each):
        return sign_erc3009(scene.terms(dearer, 0)[0], escrow, token, until, hanako)

    async def ends_with(sign) -> None:
        another = deal.model_copy(update={"salt": "0x" + sign.__name__.encode().hex().rjust(64, "0")})
        given = [LegAuthorization(leg=0, authorization=sign(another))]
        with pytest.raises(BadSignature) as refusal:
            await stack.client.start(another, given)
        assert refusal.value.field == "legs.0.authorization"
        await scene.start(another, given=given)
        result = await scene.ends(another)
        assert result.state is State.REFUNDED
        assert result.reason.startswith("leg 0 cannot be locked: Rejected")
        assert "Signature" in result.reason
        assert result.steps == ()

    await asyncio.gather(*(ends_with(sign) for sign in (by_thief, for_another_chain, of_another_deal)))
    assert await scene.has("A", hanako, shop) == [1_000_00, 0]


async def test_authorisation__that_runs_out_before_it_can_lock(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(by=scene.account("A", shop)))
    network = scene.stack.network
    past = int((deal.decide_by - timedelta(hours=1)).timestamp())
    old = sign_erc3009(scene.terms(deal, 0)[0], network.chain("a").escrow, network.token("A"), past, hanako)
    given = [LegAuthorization(leg=0, authorization=old)]
    with pytest.raises(InvalidInput) as refusal:
        await scene.stack.client.start(deal, given)
    assert refusal.value.field == "legs.0.valid_before"
    await scene.start(deal, given=given)
    result = await scene.ends(deal)
    assert (result.state, result.steps) == (State.REFUNDED, ())
    assert "InvalidAuthorizationTime" in result.reason


async def test_wrong_authorisation__of_bytes_that_are_no_signature(stack, scene) -> None:
    """Of whatever length and form: the deal ends at once, and the other payer has his own back."""
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")

    async def ends_with(signature: str) -> None:
        deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop))
        nonsense = Erc3009(valid_before=int(deal.decide_by.timestamp()), signature=signature)
        await scene.start(deal, hanako, given=[LegAuthorization(leg=1, authorization=nonsense)])
        result = await scene.ends(deal)
        assert result.state is State.REFUNDED, signature
        assert result.reason.startswith("leg 1 cannot be locked: Rejected"), result.reason
        assert {step.leg for step in result.steps} <= {0}

    await asyncio.gather(*(ends_with(each) for each in ("0x", "0x00", "0x" + "00" * 65, "0x" + "ff" * 65)))
    assert await scene.has("A", hanako) + await scene.has("B", bank, shop) == [1_000_00, 1_000_00, 0]
