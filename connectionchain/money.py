"""Amounts in base units, and the edge where people read and write decimals."""

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

UINT96_MAX = 2**96 - 1
UINT256_MAX = 2**256 - 1


def _integer(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,77}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a whole number of base units")


# Integers travel as decimal strings: JSON numbers lose digits past 2^53 in browsers and in JCS.
_AsText = PlainSerializer(str, return_type=str, when_used="json")
Amount = Annotated[int, BeforeValidator(_integer), Field(gt=0, le=UINT96_MAX), _AsText]
AmountOrZero = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=UINT96_MAX), _AsText]
Natural = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=UINT256_MAX), _AsText]


def exact(value: Any) -> Fraction:
    """A whole number, or text such as `3/2` or `1.5`. ValueError for anything else."""
    if isinstance(value, Fraction):
        return value
    match = (
        re.fullmatch(r"([0-9]{1,99})(?:\.([0-9]{1,99})|/([1-9][0-9]{0,98}))?", value) if type(value) is str else None
    )
    if type(value) is not int and not match:
        raise ValueError(f"{value!r} is not an exact number: write it as text, such as 3/2 or 1.5")
    return Fraction(value)


Exact = Annotated[Fraction, BeforeValidator(exact), PlainSerializer(str, return_type=str, when_used="json")]
"""A rational number; travels as text, `p/q` in lowest terms."""


def to_base_units(text: str, decimals: int) -> int:
    """`"12.5"` with 2 decimals -> 1250. ValueError if it is no decimal number or has too many places."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a decimal number")
    whole, places = match[1], match[2] or ""
    if len(places.rstrip("0")) > decimals:
        raise ValueError(f"{text!r} has more than {decimals} decimal places")
    return int(whole + places[:decimals].ljust(decimals, "0"))


def from_base_units(amount: int, decimals: int) -> str:
    """1250 with 2 decimals -> `"12.50"`."""
    if not decimals:
        return str(amount)
    digits = str(amount).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"
