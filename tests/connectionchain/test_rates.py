"""Exact prices from either side, their rounding, and the deal that takes a quote."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectionchain.conditions import Confirmed
from connectionchain.errors import InvalidInput, PriceRefused, TooLate
from connectionchain.ids import AccountId, TokenId
from connectionchain.money import UINT96_MAX
from connectionchain.rates import Commission, Limits, QuoteRequest, Rate, TokenAmount, base_ratio, offer, purchase

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
START = NOW.replace(microsecond=0)
MINUTES = timedelta(minutes=1)
A = TokenId("eip155:31337/erc20:0x" + "aa" * 20)
B = TokenId("eip155:31338/erc20:0x" + "bb" * 20)
DESK_A = AccountId("eip155:31337:0x" + "01" * 20)
DESK_B = AccountId("eip155:31338:0x" + "01" * 20)
SHOPPER = AccountId("eip155:31337:0x" + "02" * 20)
SHOP = AccountId("eip155:31338:0x" + "03" * 20)
LIMITS = Limits(per_deal=UINT96_MAX, per_day=UINT96_MAX, per_counterparty=UINT96_MAX)


def rate(**changes: Any) -> Rate:
    values: dict[str, Any] = {
        "name": "a-b",
        "source": A,
        "target": B,
        "receives": DESK_A,
        "pays": DESK_B,
        "ratio": "3/2",
        "valid_from": START - MINUTES,
        "valid_until": START + 60 * MINUTES,
        "limits": LIMITS,
    }
    return Rate(**values | changes)


def pay(amount: Any, token: TokenId = A) -> QuoteRequest:
    return QuoteRequest(rate="a-b", pay=TokenAmount(token=token, amount=amount))


def receive(amount: Any, token: TokenId = B) -> QuoteRequest:
    return QuoteRequest(rate="a-b", receive=TokenAmount(token=token, amount=amount))


ratios = st.builds(
    lambda ratio, source, target: Fraction(ratio) * Fraction(10) ** (target - source),
    st.fractions(min_value=Fraction(1, 10**6), max_value=10**6, max_denominator=10**6),
    st.integers(0, 36),
    st.integers(0, 36),
)
rates = st.builds(
    lambda ratio, fixed, percent: rate(ratio=ratio, commission=Commission(fixed=fixed, percent=percent)),
    ratios,
    st.integers(0, 10**24),
    st.fractions(min_value=0, max_value=Fraction(9999, 100), max_denominator=10**4),
)
amounts = st.integers(1, UINT96_MAX)


@given(rates, amounts)
def test_buys__loses_less_than_one_unit_and_never_gains(rate: Rate, amount: int) -> None:
    exact = (amount * (1 - rate.commission.percent / 100) - rate.commission.fixed) * rate.ratio
    assert 0 <= max(exact, 0) - rate.buys(amount) < 1


@given(rates, amounts)
def test_costs__is_the_least_that_buys_it(rate: Rate, amount: int) -> None:
    cost = rate.costs(amount)
    assert rate.buys(cost) >= amount > rate.buys(cost - 1)


@given(rates, amounts, amounts)
def test_covering__means_the_same_from_either_side(rate: Rate, paid: int, sold: int) -> None:
    assert (rate.buys(paid) >= sold) == (rate.costs(sold) <= paid)


@given(rates, amounts)
def test_offer__by_receive_then_by_its_pay_gives_at_least_that(rate: Rate, amount: int) -> None:
    assume(rate.costs(amount) <= UINT96_MAX)
    first = offer(rate, receive(amount), NOW, MINUTES)
    assume(rate.buys(first.pay.amount) <= UINT96_MAX)
    second = offer(rate, pay(first.pay.amount), NOW, MINUTES)
    assert second.pay == first.pay
    assert second.receive.amount >= first.receive.amount == amount
    assert 0 <= second.commission < second.pay.amount


@given(rates, amounts)
def test_offer__sells_something_for_something_or_refuses(rate: Rate, amount: int) -> None:
    if 1 <= rate.buys(amount) <= UINT96_MAX:
        assert offer(rate, pay(amount), NOW, MINUTES).receive.amount == rate.buys(amount)
    else:
        with pytest.raises(InvalidInput, match=r"buys nothing|above"):
            offer(rate, pay(amount), NOW, MINUTES)


def test_offer__fixed_and_percentage_commission() -> None:
    dear = rate(commission=Commission(fixed=7, percent="2.5"))
    quote = offer(dear, pay(1000), NOW, 5 * MINUTES)
    assert (quote.receive.amount, quote.commission) == (1452, 32)  # (1000 - 25 - 7) * 3/2
    assert (quote.created, quote.expires) == (START, START + 5 * MINUTES)
    assert offer(dear, receive(1452), NOW, MINUTES).pay.amount == 1000


def test_offer__too_little_names_the_least() -> None:
    with pytest.raises(InvalidInput, match=r"pay: 9 buys nothing \(pay at least 11\)") as caught:
        offer(rate(commission=Commission(fixed=10)), pay(9), NOW, MINUTES)
    assert caught.value.field == "pay"
    assert offer(rate(commission=Commission(fixed=10)), pay(11), NOW, MINUTES).receive.amount == 1


def test_offer__lives_no_longer_than_its_rate() -> None:
    short = rate(valid_until=START + MINUTES)
    assert offer(short, pay(10), NOW, 5 * MINUTES).expires == START + MINUTES


@pytest.mark.parametrize("ratio", ["1/1000000000000000000", "1000000000000000000"])
def test_offer__above_uint96_refused(ratio: str) -> None:
    request = receive(UINT96_MAX) if "/" in ratio else pay(UINT96_MAX)
    with pytest.raises(InvalidInput, match=r"above 2\^96"):
        offer(rate(ratio=ratio), request, NOW, MINUTES)


def test_offer__both_sides_or_neither_refused() -> None:
    both = QuoteRequest(rate="a-b", pay=pay(1).pay, receive=receive(1).receive)
    for request in (both, QuoteRequest(rate="a-b")):
        with pytest.raises(InvalidInput) as caught:
            offer(rate(), request, NOW, MINUTES)
        assert caught.value.field == "pay, receive"


@pytest.mark.parametrize(("request_", "field"), [(pay(5, B), "pay.token"), (receive(5, A), "receive.token")])
def test_offer__another_token_refused(request_: QuoteRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        offer(rate(), request_, NOW, MINUTES)
    assert caught.value.field == field


def test_offer__outside_validity_refused() -> None:
    with pytest.raises(PriceRefused):
        offer(rate(), pay(5), START - 2 * MINUTES, MINUTES)
    with pytest.raises(PriceRefused):
        offer(rate(), pay(5), START + 60 * MINUTES, MINUTES)


def test_offer__above_the_limit_of_a_deal_refused() -> None:
    limited = rate(limits=Limits(per_deal=15, per_day=100, per_counterparty=100))
    assert offer(limited, pay(10), NOW, MINUTES).receive.amount == 15
    with pytest.raises(PriceRefused, match="at most 15"):
        offer(limited, receive(16), NOW, MINUTES)


@pytest.mark.parametrize("amount", [0, -1, 1.5, "1.5", True, "x", UINT96_MAX + 1])
def test_request__bad_amount_names_its_field(amount: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        pay(amount)
    assert InvalidInput.of(caught.value).field == "amount"


@pytest.mark.parametrize("ratio", ["0", "-1", "1/0", 1.5, "1e9", "1.5/2", "", "9" * 200])
def test_rate__inexact_or_unusable_ratio_refused(ratio: Any) -> None:
    with pytest.raises(ValidationError):
        rate(ratio=ratio)


@pytest.mark.parametrize("percent", ["100", "-1", 2.5])
def test_rate__bad_percentage_refused(percent: Any) -> None:
    with pytest.raises(ValidationError):
        Commission(percent=percent)


@pytest.mark.parametrize(
    "change",
    [
        {"target": A, "pays": DESK_A},
        {"valid_until": START - MINUTES},
        {"receives": DESK_B},
        {"pays": DESK_A},
        {"name": "a b"},
    ],
)
def test_rate__inconsistent_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rate(**change)


@given(rates)
def test_rate__survives_json_exactly(rate: Rate) -> None:
    assert Rate.model_validate_json(rate.model_dump_json()) == rate


def test_base_ratio__of_tokens_with_different_decimals() -> None:
    assert base_ratio("1.5", 2, 18) == 15 * 10**15
    assert base_ratio("2", 36, 0) == Fraction(2, 10**36)


def test_purchase__two_legs_named_after_the_quote() -> None:
    quote = offer(rate(), pay(1000), NOW, MINUTES)
    expiry = START + 20 * MINUTES
    terms = {"payer": SHOPPER, "payee": SHOP, "decide_by": START + 10 * MINUTES, "expiry": expiry}
    deal = purchase(quote, rate(), **terms, condition=Confirmed(by=SHOP))
    assert [(leg.token, leg.payer, leg.payee, leg.amount) for leg in deal.legs] == [
        (A, SHOPPER, DESK_A, 1000),
        (B, DESK_B, SHOP, 1500),
    ]
    assert (deal.reference, deal.condition) == (quote.id, Confirmed(by=SHOP))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"payer": DESK_A}, "payer"),
        ({"payee": DESK_B}, "payee"),
        ({"payee": SHOPPER}, "payee"),
        ({"payer": SHOP}, ""),  # on another chain than the token
        ({"rate": rate(name="other")}, "rate"),
        ({"rate": rate(target=TokenId("eip155:31338/erc20:0x" + "cc" * 20))}, "rate"),
        ({"expiry": START}, ""),
    ],
)
def test_purchase__bad_input_is_typed(change: dict[str, Any], field: str) -> None:
    terms = {"payer": SHOPPER, "payee": AccountId("eip155:31338:0x" + "03" * 20), "rate": rate()}
    terms |= {"decide_by": START + 10 * MINUTES, "expiry": START + 20 * MINUTES}
    if change == {"payer": SHOP}:
        terms["payee"] = AccountId("eip155:31338:0x" + "04" * 20)
    with pytest.raises(InvalidInput) as caught:
        purchase(offer(rate(), pay(10), NOW, MINUTES), **terms | change)
    assert caught.value.field == field


def test_quote__expires_on_the_second() -> None:
    quote = offer(rate(), pay(10), NOW, MINUTES)
    quote.check_open(quote.expires - timedelta(microseconds=1))
    with pytest.raises(TooLate, match="ask for a new quote"):
        quote.check_open(quote.expires)
