"""Events on a chain: which ones are meant, what one of them says, and how a workflow is told. No node is asked here."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from connectionchain.abi_events import EventType
from connectionchain.ids import ChainId, EvmAddress, Hex32
from connectionchain.model import Model, Time
from connectionchain.money import Natural


class Predicate(Model):
    """`field` of the event compared with `value`: a decimal number, lower-case hex, `true`, `false` or text."""

    field: str
    op: Literal["eq", "ne", "lt", "le", "gt", "ge"] = "eq"
    value: str = Field(max_length=256)


class Companion(Model):
    """Another event of the same contract in the same transaction."""

    event: str = Field(max_length=512)
    where: tuple[Predicate, ...] = Field(default=(), max_length=16)


class EventFilter(Model):
    """The events of one type, by one contract, from block `since` on, whose fields satisfy every predicate; only those
    that a `beside` comes along with, if there is one."""

    chain: ChainId
    contract: EvmAddress
    event: str = Field(max_length=512)
    where: tuple[Predicate, ...] = Field(default=(), max_length=16)
    since: Natural
    beside: Companion | None = None

    @property
    def companion(self) -> "EventFilter | None":
        """The events that must come along."""
        if self.beside is None:
            return None
        beside = self.beside
        return EventFilter(
            chain=self.chain, contract=self.contract, event=beside.event, where=beside.where, since=self.since
        )

    @property
    def id(self) -> str:
        return self.sha256()

    @property
    def abi(self) -> EventType:
        return EventType.parse(self.event)

    @field_validator("event")
    @classmethod
    def _declaration(cls, event: str) -> str:
        EventType.parse(event)
        return event

    @model_validator(mode="after")
    def _companion(self) -> Self:
        self.companion  # noqa: B018 - checks its declaration and its predicates
        return self

    @field_validator("where")
    @classmethod
    def _typed(cls, where: tuple[Predicate, ...], info: ValidationInfo) -> tuple[Predicate, ...]:
        if "event" not in info.data:
            return where
        return tuple(_typed(EventType.parse(info.data["event"]), each) for each in where)

    def topics(self) -> list[str | None]:
        """What a node can select by: the type, and each indexed field that must have one value."""
        exact = {each.field: each.value for each in self.where if each.op == "eq"}
        indexed = [each for each in self.abi.parameters if each.indexed]
        return [
            self.abi.topic,
            *(each.topic(each.value(exact[each.name])) if each.name in exact else None for each in indexed),
        ]


def _typed(event: EventType, predicate: Predicate) -> Predicate:
    parameter = event.parameter(predicate.field)
    if predicate.op not in ("eq", "ne") and not parameter.is_number:
        raise ValueError(f"{predicate.field}: a {parameter.type} has no order")
    return predicate.model_copy(update={"value": str(parameter.value(predicate.value))})


class Position(Model):
    """Where an event stands on its chain; final blocks have one order."""

    block: Natural = 0
    log_index: Natural = 0

    def __lt__(self, other: Self) -> bool:
        return (self.block, self.log_index) < (other.block, other.log_index)


class ChainEvent(Model):
    """One event, by chain time. `values` are those of its fields; numbers as decimal text."""

    at: Position
    block_hash: Hex32
    time: Time
    transaction: Hex32
    values: dict[str, str]


class Observation(Model):
    """What the chain watch tells a subscriber: `count` final events passed the filter, the newest of them at `at`.
    It may be told twice, but never backwards. `events` are the new ones, if the subscription asks for them; `total` is
    what a mandate's uses cost in all."""

    filter: Hex32
    at: Position
    count: int = Field(ge=0)
    total: Natural = 0
    events: tuple[ChainEvent, ...] = ()
