"""When a condition holds, and what it says is missing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from connectionchain.conditions import OPERATOR, AllOf, AnyOf, Condition, Confirmed, Facts, TimeReached, parts
from connectionchain.ids import AccountId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHOP, JUDGE = (AccountId(f"eip155:1:0x{digits * 20}") for digits in ("11", "22"))
BY_SHOP, BY_JUDGE, AT_NOON = Confirmed(by=SHOP), Confirmed(by=JUDGE), TimeReached(at=NOON)
READ = TypeAdapter(Condition)


def facts(*confirmed: str, now: datetime = NOON - timedelta(hours=1)) -> Facts:
    return Facts(now=now, confirmed=frozenset(confirmed))


@pytest.mark.parametrize(
    ("condition", "known", "holds"),
    [
        (BY_SHOP, facts(), False),
        (BY_SHOP, facts(JUDGE, OPERATOR), False),
        (BY_SHOP, facts(SHOP), True),
        (Confirmed(), facts(SHOP), False),
        (Confirmed(), facts(OPERATOR), True),
        (AT_NOON, facts(now=NOON - timedelta(seconds=1)), False),
        (AT_NOON, facts(now=NOON), True),
        (AllOf(of=(BY_SHOP, BY_JUDGE)), facts(SHOP), False),
        (AllOf(of=(BY_SHOP, BY_JUDGE)), facts(SHOP, JUDGE), True),
        (AnyOf(of=(BY_SHOP, AT_NOON)), facts(), False),
        (AnyOf(of=(BY_SHOP, AT_NOON)), facts(SHOP), True),
        (AnyOf(of=(BY_SHOP, AT_NOON)), facts(now=NOON), True),
        (AllOf(of=(AnyOf(of=(BY_SHOP, BY_JUDGE)), AT_NOON)), facts(JUDGE), False),
        (AllOf(of=(AnyOf(of=(BY_SHOP, BY_JUDGE)), AT_NOON)), facts(JUDGE, now=NOON), True),
    ],
)
def test_condition__holds_and_then_misses_nothing(condition: Any, known: Facts, holds: bool) -> None:
    assert condition.holds(known) is holds
    assert (list(condition.missing(known)) == []) is holds


def test_missing__in_words() -> None:
    nested = AllOf(of=(AnyOf(of=(BY_SHOP, AllOf(of=(Confirmed(), AT_NOON)))), BY_JUDGE))
    assert list(nested.missing(facts())) == [
        f"confirmation by {SHOP} or confirmation by an operator and 2026-11-22T12:00:00Z to come",
        f"confirmation by {JUDGE}",
    ]


def test_parts__are_the_leaves() -> None:
    assert list(parts(AllOf(of=(AnyOf(of=(BY_SHOP, AT_NOON)), BY_JUDGE)))) == [BY_SHOP, AT_NOON, BY_JUDGE]
    assert list(parts(None)) == []


def test_condition__comes_back_from_json_as_it_went() -> None:
    nested = AllOf(of=(AnyOf(of=(BY_SHOP, AT_NOON)), Confirmed()))
    assert READ.validate_json(READ.dump_json(nested)) == nested


@pytest.mark.parametrize(
    "value",
    [
        {"type": "unheard_of"},
        {"by": SHOP},
        {"type": "confirmed", "by": "the shop"},
        {"type": "time_reached", "at": "2026-11-22T12:00:00"},
        {"type": "all_of", "of": []},
        {"type": "any_of", "of": [{"type": "confirmed"}] * 17},
    ],
)
def test_condition__that_is_none(value: Any) -> None:
    with pytest.raises(ValidationError):
        READ.validate_python(value)


def test_condition__nested_without_end_is_refused() -> None:
    value = '{"type":"confirmed"}'
    for _ in range(200):
        value = f'{{"type":"all_of","of":[{value}]}}'
    with pytest.raises(ValidationError, match="recursion limit"):
        READ.validate_json(value)
