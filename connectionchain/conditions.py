"""What must be true before a deal commits. A condition looks at facts; who gathers them is not its business."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from connectionchain.abi_events import EventType
from connectionchain.events import EventFilter
from connectionchain.ids import AccountId, ChainId, Hex32, TokenId
from connectionchain.model import Model, Time, rfc3339
from connectionchain.money import Amount, Natural

OPERATOR = "operator"


TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
AUTHORIZATION_USED = "AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)"


class Facts(Model):
    """What is known of a deal at `now`: which accounts confirmed, and whether its operator did; and how many final
    events passed each filter (by its id)."""

    now: datetime
    confirmed: frozenset[str] = frozenset()
    seen: dict[str, int] = Field(default_factory=dict)


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


class EventSeen(EventFilter):
    """`count` such events are final, from block `since` of that chain on: anybody can look them up."""

    type: Literal["event_seen"] = "event_seen"
    count: int = Field(default=1, ge=1, le=1_000_000)

    @property
    def filter(self) -> EventFilter:
        return EventFilter.model_validate(self.model_dump(include=set(EventFilter.model_fields)))

    def holds(self, facts: Facts) -> bool:
        return facts.seen.get(self.filter.id, 0) >= self.count

    def missing(self, facts: Facts) -> Iterator[str]:
        if not self.holds(facts):
            name, seen = EventType.parse(self.event).name, facts.seen.get(self.filter.id, 0)
            yield f"{self.count - seen} of {name} by {self.contract} on {self.chain}"


class Paid(Model):
    """`to` got `amount` or more of an ERC-20 token in one transfer, from block `since` of its chain on; with a
    `reference`, in one that was authorised under that nonce (ERC-3009)."""

    type: Literal["paid"] = "paid"
    token: TokenId
    to: AccountId
    amount: Amount
    reference: Hex32 | None = None
    since: Natural
    count: ClassVar[int] = 1

    @property
    def chain(self) -> ChainId:
        return self.token.chain

    @property
    def filter(self) -> EventFilter:
        nonce = {"field": "nonce", "value": self.reference}
        terms = {
            "chain": self.chain,
            "contract": self.token.address,
            "event": TRANSFER,
            "where": [
                {"field": "to", "value": self.to.address},
                {"field": "value", "op": "ge", "value": str(self.amount)},
            ],
            "since": self.since,
            "beside": {"event": AUTHORIZATION_USED, "where": [nonce]} if self.reference else None,
        }
        return EventFilter.model_validate(terms)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.to.chain != self.chain:
            raise ValueError(f"to: {self.to} is not on the token's chain {self.chain}")
        return self

    def holds(self, facts: Facts) -> bool:
        return facts.seen.get(self.filter.id, 0) >= 1

    def missing(self, facts: Facts) -> Iterator[str]:
        if not self.holds(facts):
            reference = f" under reference {self.reference}" if self.reference else ""
            yield f"a payment of {self.amount} base units of {self.token} to {self.to}{reference}"


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


Condition = Annotated[Confirmed | TimeReached | EventSeen | Paid | AllOf | AnyOf, Field(discriminator="type")]
AllOf.model_rebuild()
AnyOf.model_rebuild()


def parts(condition: Condition | None) -> Iterator[Confirmed | TimeReached | EventSeen | Paid]:
    """The leaves of a condition tree, left to right."""
    match condition:
        case None:
            return
        case AllOf() | AnyOf():
            for each in condition.of:
                yield from parts(each)
        case _:
            yield condition


def followed(condition: Condition | None) -> tuple[EventSeen | Paid, ...]:
    """Its parts that look at the events of a chain."""
    return tuple(part for part in parts(condition) if isinstance(part, EventSeen | Paid))
