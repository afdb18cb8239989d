"""Prices are exact: to the base unit, however use is divided, and never more than can be paid."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectionchain.money import UINT96_MAX, UINT256_MAX
from connectionchain.tariff import Overflow, Tariff, Tier

units = st.integers(0, 10**12)
prices = st.fractions(min_value=0, max_value=1000)


@st.composite
def tiered(draw):
    ends = sorted(draw(st.sets(st.integers(1, 10**9), max_size=4)))
    tiers = [Tier(up_to=end, price=draw(prices)) for end in ends]
    last = Tier(price=draw(prices.filter(bool)))
    return Tariff(tiers=(*tiers, last), free_units=draw(st.integers(0, 10**6)))


def bill(tariff: Tariff, uses: list[int]) -> list[int]:
    prices, before = [], 0
    for use in uses:
        prices.append(tariff.price(before, use))
        before += use
    return prices


def naive(tariff: Tariff, total: int) -> int:
    """Every tier's share on its own, with the free units taken out of the first ones."""
    cost, start = Fraction(0), 0
    for tier in tariff.tiers:
        end = total if tier.up_to is None else min(total, tier.up_to)
        cost += len(range(max(start, tariff.free_units), end)) * tier.price
        start = tier.up_to or end
    return floor(cost)


@given(tiered(), st.lists(units, min_size=1, max_size=20))
def test_price__sums_to_the_price_of_all_units_however_divided(tariff, uses) -> None:
    assert sum(bill(tariff, uses)) == naive(tariff, sum(uses)) == tariff.price(0, sum(uses))


@given(tiered(), units, units, units)
def test_price__more_units_never_cost_less(tariff, before, some, more) -> None:
    assert tariff.price(before, some) <= tariff.price(before, some + more)


@given(st.integers(0, 100), st.integers(0, 1000), prices.filter(bool), units, units)
def test_price__is_at_least_the_minimum_and_the_price_of_the_event(event, minimum, price, before, some) -> None:
    tariff = Tariff(per_event=event, minimum=minimum, tiers=(Tier(price=price),))
    cost = tariff.price(before, some)
    assert cost >= max(event, minimum)
    assert cost == minimum or cost == event + naive(tariff, before + some) - naive(tariff, before)


def test_price__thirds_of_a_unit_add_up() -> None:
    assert bill(Tariff(tiers=(Tier(price="1/3"),)), [1] * 7) == [0, 0, 1, 0, 0, 1, 0]


def test_price__by_tiers() -> None:
    tariff = Tariff(tiers=(Tier(up_to=10, price="5"), Tier(up_to=100, price="2"), Tier(price="1/2")))
    assert bill(tariff, [8, 4, 100, 2]) == [40, 10 + 4, 2 * 88 + 6, 1]


def test_price__free_units_take_the_event_along() -> None:
    tariff = Tariff(per_event=7, minimum=10, tiers=(Tier(price="1"),), free_units=10)
    assert bill(tariff, [10, 0, 5, 1]) == [0, 0, 12, 10]


def test_price__a_use_of_no_units_costs_the_event() -> None:
    assert bill(Tariff(per_event=7), [0, 0]) == [7, 7]


@pytest.mark.parametrize(
    ("price", "before", "some"),
    [("1", 0, UINT96_MAX + 1), ("1", UINT256_MAX, 1), ("0", 0, UINT256_MAX + 1), ("1000000", 0, 2**90)],
)
def test_price__overflow_is_refused(price, before, some) -> None:
    tariff = Tariff(per_event=1, tiers=(Tier(price=price),))
    with pytest.raises(Overflow):
        tariff.price(before, some)


def test_price__the_highest_that_can_be_paid() -> None:
    assert Tariff(tiers=(Tier(price="1"),)).price(5, UINT96_MAX) == UINT96_MAX


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"tiers": [{"price": "0"}]},
        {"tiers": [{"up_to": "5", "price": "1"}]},
        {"tiers": [{"up_to": "5", "price": "1"}, {"up_to": "5", "price": "1"}, {"price": "1"}]},
        {"tiers": [{"price": "1"}, {"price": "1"}]},
        {"tiers": [{"up_to": "0", "price": "1"}, {"price": "1"}]},
        {"tiers": [{"price": "-1"}]},
        {"tiers": [{"price": 0.5}]},
        {"per_event": "-1"},
        {"per_event": str(2**96)},
    ],
)
def test_tariff__that_makes_no_sense_is_refused(terms) -> None:
    with pytest.raises(ValidationError):
        Tariff.model_validate(terms)


def test_tariff__travels_as_text() -> None:
    tariff = Tariff(per_event=1, tiers=(Tier(up_to=2**70, price=Fraction(3, 2)), Tier(price="0.1")), free_units=2**200)
    assert Tariff.model_validate_json(tariff.model_dump_json()) == tariff
    assert tariff.model_dump(mode="json")["tiers"] == [
        {"up_to": str(2**70), "price": "3/2"},
        {"up_to": None, "price": "1/10"},
    ]
