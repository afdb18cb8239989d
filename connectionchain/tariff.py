"""What usage costs, exactly: base units for each use and each unit used, in tiers, with a minimum and a free allowance.

Units are priced on the running count: a use costs the difference of what all units cost after it and before it, each
rounded down, so that it makes no difference how the same units are divided into uses, and rounding never adds up.
"""

from functools import cached_property
from itertools import pairwise
from math import lcm
from typing import Annotated, Self

from pydantic import Field, model_validator

from connectionchain.errors import InvalidInput
from connectionchain.model import Model
from connectionchain.money import UINT96_MAX, UINT256_MAX, AmountOrZero, Exact, Natural


class Overflow(InvalidInput):
    """More units, or a higher price, than any contract could count or pay."""


class Tier(Model):
    """Each unit beyond the tier before it, up to unit number `up_to` (None: without end), costs `price` base units."""

    up_to: Natural | None = None
    price: Annotated[Exact, Field(ge=0)]


class Tariff(Model):
    """A use costs `per_event` and its units by `tiers`, at least `minimum`; the first `free_units` units cost nothing,
    nor does a use that is wholly among them. All in base units of the token."""

    per_event: AmountOrZero = 0
    tiers: tuple[Tier, ...] = Field(default=(), max_length=16)
    minimum: AmountOrZero = 0
    free_units: Natural = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ends = [tier.up_to for tier in self.tiers]
        if ends and ends[-1] is not None:
            raise ValueError("tiers: the last one must be without end")
        if None in ends[:-1] or any(a >= b for a, b in pairwise([0, *(end or 0 for end in ends[:-1])])):
            raise ValueError("tiers: each must end beyond the one before it")
        if not (self.per_event or self.minimum or any(tier.price for tier in self.tiers)):
            raise ValueError("everything would be free")
        return self

    def price(self, before: int, units: int) -> int:
        """What a use of `units` costs whoever has used `before` already. Raises Overflow."""
        after = before + units
        if after > UINT256_MAX:
            raise Overflow(f"{after} units are more than can be counted", field="units")
        if self.free_units > 0 and after <= self.free_units:
            return 0
        price = max(self.minimum, self.per_event + self._cost(after) - self._cost(before))
        if price > UINT96_MAX:
            raise Overflow(f"a price of {price} is more than can be paid", field="units")
        return price

    @cached_property
    def _parts(self) -> tuple[int, list[tuple[int | None, int]]]:
        """A common denominator of all prices, and the tiers with their prices in its parts."""
        whole = lcm(*(tier.price.denominator for tier in self.tiers))
        return whole, [(tier.up_to, int(tier.price * whole)) for tier in self.tiers]

    def _cost(self, units: int) -> int:
        """Of the first `units` units, rounded down."""
        whole, tiers = self._parts
        cost, start = 0, 0
        for up_to, price in tiers:
            end = units if up_to is None else min(units, up_to)
            cost += max(0, end - max(start, self.free_units)) * price
            start = end
        return cost // whole
