"""Decimals exist at the edge only, and nothing is lost or made there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectionchain.money import UINT96_MAX, from_base_units, to_base_units


@given(st.integers(0, UINT96_MAX), st.integers(0, 36))
def test_base_units__there_and_back(amount: int, decimals: int) -> None:
    assert to_base_units(from_base_units(amount, decimals), decimals) == amount


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("12.5", 2, 1250),
        ("12.50", 2, 1250),
        ("12.500", 2, 1250),
        ("0.01", 2, 1),
        ("007", 0, 7),
        (" 1 ", 2, 100),
        ("0", 2, 0),
    ],
)
def test_decimal__in_base_units(text: str, decimals: int, units: int) -> None:
    assert to_base_units(text, decimals) == units


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "-1", "+1", "1,5", "1e3", "0x1", "1 000", "NaN", "inf", "\uff11"]
)
def test_decimal__that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal number"):
        to_base_units(text, 2)


@pytest.mark.parametrize(("text", "decimals"), [("0.001", 2), ("1.5", 0), ("1.0000000001", 9)])
def test_decimal__with_too_many_places_is_not_rounded(text: str, decimals: int) -> None:
    with pytest.raises(ValueError, match="decimal places"):
        to_base_units(text, decimals)


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(1250, 2, "12.50"), (1, 2, "0.01"), (7, 0, "7"), (0, 2, "0.00"), (5, 18, "0.000000000000000005")],
)
def test_base_units__as_people_read_them(amount: int, decimals: int, text: str) -> None:
    assert from_base_units(amount, decimals) == text
