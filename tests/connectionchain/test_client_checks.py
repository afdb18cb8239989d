"""What the client refuses before anything is started, locked or sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectionchain.authorization import OnChain, sign_permit
from connectionchain.client.amounts import shown, side, summary
from connectionchain.client.checks import before_start, finality_seconds
from connectionchain.client.signing import authorizations, statement
from connectionchain.conditions import Paid
from connectionchain.deal import Cancellable, Deal
from connectionchain.errors import BadSignature, InsufficientFunds, InvalidInput, NotEntitled, TooLate, UnknownName
from connectionchain.escrow import Terms
from connectionchain.ids import TokenId
from connectionchain.network import Finality
from connectionchain.settlement import LegAuthorization


async def purchase(bench: Any, **terms: Any) -> Deal:
    """Reckoned from the wall clock: what the client compares with."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = {"decide_by": now + timedelta(minutes=10), "expiry": now + timedelta(minutes=20)}
    deal: Deal = await bench.deal(**times | terms)
    return deal


def with_amount(deal: Deal, amount: int) -> Deal:
    legs = [leg.model_dump() | {"amount": amount} for leg in deal.legs]
    return Deal.model_validate(deal.model_dump() | {"legs": legs})


async def test_before_start__all_well(bench: Any) -> None:
    deal = await purchase(bench)
    own = authorizations(bench.network, deal, bench.keys["hanako"])
    assert [each.leg for each in own] == [0]
    await before_start(bench.network, deal, own)


async def test_before_start__without_funds(bench: Any) -> None:
    deal = with_amount(await purchase(bench), 2**90)
    own = authorizations(bench.network, deal, bench.keys["hanako"])
    with pytest.raises(InsufficientFunds, match=r"has [0-9.]+ A, the deal locks 12379400392853802748991242\.24 A"):
        await before_start(bench.network, deal, own)
    await before_start(bench.network, deal, [])


async def test_before_start__payer_locked_on_chain_himself(bench: Any) -> None:
    deal = with_amount(await purchase(bench), 2**90)
    await before_start(bench.network, deal, [LegAuthorization(leg=0, authorization=OnChain())])


async def test_before_start__signature_over_another_deal(bench: Any) -> None:
    deal, other = await purchase(bench), await purchase(bench)
    with pytest.raises(BadSignature, match=r"legs\.0\.authorization: the signature is not eip155"):
        await before_start(bench.network, deal, authorizations(bench.network, other, bench.keys["hanako"]))


async def test_before_start__permit_signed_by_a_stranger(bench: Any) -> None:
    deal = await purchase(bench)
    chain, token = bench.network.chain("a"), bench.network.token("A")
    forged = sign_permit(Terms.of(deal, deal.legs[0]), chain.escrow, token, 0, 2**39, bench.keys["taro"])
    with pytest.raises(BadSignature):
        await before_start(bench.network, deal, [LegAuthorization(leg=0, authorization=forged)])


async def test_before_start__no_such_leg(bench: Any) -> None:
    with pytest.raises(InvalidInput, match="the deal has no leg 2"):
        await before_start(bench.network, await purchase(bench), [LegAuthorization(leg=2, authorization=OnChain())])


async def test_before_start__unknown_token(bench: Any) -> None:
    deal = await purchase(bench)
    strange = TokenId(f"{deal.legs[0].chain}/erc20:0x{'11' * 20}")
    legs = (deal.legs[0].model_copy(update={"token": strange}), deal.legs[1])
    with pytest.raises(UnknownName, match="token: there is no 'eip155:31337/erc20:0x1111"):
        await before_start(bench.network, await purchase(bench, legs=legs), [])


async def test_before_start__unknown_chain(bench: Any) -> None:
    only_a = {name: each for name, each in bench.network.chains.items() if name == "a"}
    with pytest.raises(UnknownName, match=r"chain: there is no 'eip155:31338' \(known: a\)"):
        await before_start(bench.network.model_copy(update={"chains": only_a}), await purchase(bench), [])


async def test_before_start__decide_by_passed(bench: Any) -> None:
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    with pytest.raises(InvalidInput, match=r"decide_by: .* has passed"):
        await before_start(bench.network, await purchase(bench, decide_by=past), [])


async def test_before_start__expiry_absurdly_far(bench: Any) -> None:
    far = datetime.now(UTC).replace(microsecond=0) + timedelta(days=366)
    with pytest.raises(InvalidInput, match=r"expiry: .* more than 365 days ahead"):
        await before_start(bench.network, await purchase(bench, expiry=far), [])


@pytest.mark.parametrize(
    ("field", "minutes"), [("decide_by", (1, 20)), ("expiry", (10, 12))], ids=["locks", "settlements"]
)
async def test_before_start__too_near_for_finality(bench: Any, field: str, minutes: tuple[int, int]) -> None:
    slow = bench.network.chain("b").model_copy(
        update={"finality": Finality(policy="depth", depth=20), "block_time": 15}
    )
    network = bench.network.model_copy(update={"chains": bench.network.chains | {"b": slow}})
    now = datetime.now(UTC).replace(microsecond=0)
    decide_by, expiry = (now + timedelta(minutes=each) for each in minutes)
    deal = await purchase(bench, decide_by=decide_by, expiry=expiry)
    with pytest.raises(InvalidInput, match=rf"{field}: .* is too near for finality \(300 s\)"):
        await before_start(network, deal, [])


async def test_finality_seconds__by_tag_is_its_distance_from_the_head(bench: Any) -> None:
    chain = bench.devnet.chain("b")
    await chain.advance(30)
    seconds = await finality_seconds(bench.network, [bench.network.chain("b").id])
    await chain.mine(3)
    assert seconds >= 30
    assert await finality_seconds(bench.network, [bench.network.chain("b").id]) < 30


async def test_statement__cancel_too_late(bench: Any) -> None:
    shop = bench.account("bookstore", "b")
    until = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    deal = await purchase(bench, cancellable=Cancellable(by=(shop,), until=until))
    with pytest.raises(TooLate, match="cancelling ended"):
        statement("cancellation", deal, bench.keys["bookstore"])


async def test_statement__nobody_may(bench: Any) -> None:
    deal = await purchase(bench, cancellable=Cancellable())
    with pytest.raises(NotEntitled, match="nobody may"):
        statement("cancellation", deal, bench.keys["bookstore"])


async def test_amounts__in_words(bench: Any) -> None:
    deal = await purchase(bench)
    assert summary(bench.network, deal) == "2 legs on a, b: 12.00 A -> 10.00 B"
    assert shown(bench.network, TokenId(f"eip155:1/erc20:0x{'11' * 20}"), 7).startswith("7 base units of eip155:1/")


@pytest.mark.parametrize("text", ["0 A", "-1 A", "1.005 A", "1e3 A", "792281625142643375935439504 A", "twelve A"])
async def test_amounts__refused(bench: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^pay: "):
        side(bench.network, text, "pay")


async def test_amounts__largest(bench: Any) -> None:
    _, largest = side(bench.network, "792281625142643375935439503.35 A", "pay")
    assert largest is not None
    assert largest.amount == 2**96 - 1


async def test_before_start__waits_for_a_chain_that_nobody_watches(bench: Any) -> None:
    elsewhere = Paid(token="eip155:999/erc20:0x" + "12" * 20, to="eip155:999:0x" + "34" * 20, amount=1, since=0)
    deal = await purchase(bench, condition=elsewhere)
    with pytest.raises(UnknownName, match="eip155:999"):
        await before_start(bench.network, deal, [])
