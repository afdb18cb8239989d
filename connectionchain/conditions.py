"""What must be true before a deal commits. A condition looks at facts; who gathers them is not its business."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from connectionchain.ids import AccountId
from connectionchain.model import Model, Time, rfc3339

OPERATOR = "operator"


class Facts(Model):
    """What is known of a deal at `now`: which accounts confirmed, and whether its operator did."""

    now: datetime
    confirmed: frozenset[str] = frozenset()


class Confirmed(Model):
    """`by` signed a confirmation of the deal. Without `by`, a plain signal of a trusted operator is enough."""

    type: Literal["confirmed"] = "confirmed"
    by: AccountId | None = None

    def holds(self, facts: Facts) -> bool:
        return (self.by or OPERATOR) in facts.confirmed

    def missing(self, facts: Facts) -> Iterator[str]:
        if not self.holds(facts):
            yield f"confirmation by {self.by or 'an operator'}"


class TimeReached(Model):
    """The time `at` has come."""

    type: Literal["time_reached"] = "time_reached"
    at: Time

    def holds(self, facts: Facts) -> bool:
        return facts.now >= self.at

    def missing(self, facts: Facts) -> Iterator[str]:
        if not self.holds(facts):
            yield f"{rfc3339(self.at)} to come"


class AllOf(Model):
    """Every one of these holds."""

    type: Literal["all_of"] = "all_of"
    of: tuple["Condition", ...] = Field(min_length=1, max_length=16)

    def holds(self, facts: Facts) -> bool:
        return all(each.holds(facts) for each in self.of)

    def missing(self, facts: Facts) -> Iterator[str]:
        for each in self.of:
            yield from each.missing(facts)


class AnyOf(Model):
    """At least one of these holds."""

    type: Literal["any_of"] = "any_of"
    of: tuple["Condition", ...] = Field(min_length=1, max_length=16)

    def holds(self, facts: Facts) -> bool:
        return any(each.holds(facts) for each in self.of)

    def missing(self, facts: Facts) -> Iterator[str]:
        if not self.holds(facts):
            yield " or ".join(" and ".join(each.missing(facts)) for each in self.of)


Condition = Annotated[Confirmed | TimeReached | AllOf | AnyOf, Field(discriminator="type")]
AllOf.model_rebuild()
AnyOf.model_rebuild()


def parts(condition: Condition | None) -> Iterator[Confirmed | TimeReached]:
    """The leaves of a condition tree, left to right."""
    match condition:
        case None:
            return
        case AllOf() | AnyOf():
            for each in condition.of:
                yield from parts(each)
        case _:
            yield condition
