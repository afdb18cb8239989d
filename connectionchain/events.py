"""Events on a chain: which ones are meant, and what one of them says. No node is asked here."""

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Self

from pydantic import Field, ValidationInfo, field_validator

from connectionchain.abi_events import EventType, Malformed, Value
from connectionchain.ids import ChainId, EvmAddress, Hex32
from connectionchain.model import Model, Time
from connectionchain.money import Natural

_HOLDS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


class Predicate(Model):
    """`field` of the event compared with `value`: a decimal number, lower-case hex, `true`, `false` or text."""

    field: str
    op: Literal["eq", "ne", "lt", "le", "gt", "ge"] = "eq"
    value: str = Field(max_length=256)

    def holds(self, actual: Value) -> bool:
        expected = int(self.value) if isinstance(actual, int) else self.value
        return bool(_HOLDS[self.op](actual, expected))


class EventFilter(Model):
    """The events of one type, by one contract, from block `since` on, whose fields satisfy every predicate."""

    chain: ChainId
    contract: EvmAddress
    event: str = Field(max_length=512)
    where: tuple[Predicate, ...] = Field(default=(), max_length=16)
    since: Natural

    @property
    def id(self) -> str:
        return self.sha256()

    @property
    def type(self) -> EventType:
        return EventType.parse(self.event)

    @field_validator("event")
    @classmethod
    def _declaration(cls, event: str) -> str:
        EventType.parse(event)
        return event

    @field_validator("where")
    @classmethod
    def _typed(cls, where: tuple[Predicate, ...], info: ValidationInfo) -> tuple[Predicate, ...]:
        if "event" not in info.data:
            return where
        return tuple(_typed(EventType.parse(info.data["event"]), each) for each in where)

    def topics(self) -> list[str | None]:
        """What a node can select by: the type, and each indexed field that must have one value."""
        exact = {each.field: each.value for each in self.where if each.op == "eq"}
        indexed = [each for each in self.type.parameters if each.indexed]
        return [
            self.type.topic,
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


class Log(NamedTuple):
    """An event as a node tells it; `time` in Unix seconds, hex in lower case."""

    contract: str
    topics: tuple[str, ...]
    data: str
    block: int
    log_index: int
    block_hash: str
    transaction: str
    time: int


class Match(NamedTuple):
    """A log with its decoded fields."""

    log: Log
    values: dict[str, Value]

    @property
    def at(self) -> tuple[int, int]:
        return self.log.block, self.log.log_index


class Sieve:
    """Many filters at once. The work for an event does not grow with filters that want another value of a field."""

    def __init__(self, filters: Sequence[EventFilter]) -> None:
        self._filters = filters
        self._types: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._by_value: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
        self._keys: dict[tuple[str, str], set[str]] = defaultdict(set)
        for n, each in enumerate(filters):
            self._types[each.contract, each.type.topic].add(each.event)
            key = next((one for one in each.where if one.op == "eq"), Predicate(field="", value=""))
            self._keys[each.contract, each.event].add(key.field)
            self._by_value[each.contract, each.event, key.field, key.value].append(n)

    def sort(self, logs: Iterable[Log]) -> list[list[Match]]:
        """For each filter the events that pass it, in the order of the chain. What is malformed passes none."""
        found: list[list[Match]] = [[] for _ in self._filters]
        for log in sorted(logs, key=lambda each: (each.block, each.log_index)):
            for n, match in self._passed(log):
                found[n].append(match)
        return found

    def _passed(self, log: Log) -> Iterator[tuple[int, Match]]:
        for event in self._types.get((log.contract, log.topics[0]), ()) if log.topics else ():
            try:
                values = EventType.parse(event).decode(log.topics, log.data)
            except Malformed:
                continue
            match = Match(log, values)
            for field in self._keys[log.contract, event]:
                wanted = str(values.get(field, ""))
                for n in self._by_value.get((log.contract, event, field, wanted), ()):
                    if self._passes(self._filters[n], match):
                        yield n, match

    def _passes(self, filter_: EventFilter, match: Match) -> bool:
        return match.log.block >= filter_.since and all(p.holds(match.values[p.field]) for p in filter_.where)
