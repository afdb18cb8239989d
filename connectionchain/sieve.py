"""Decodes logs and sorts them by the filters they pass."""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from connectionchain.abi_events import EventType, Malformed, Value
from connectionchain.events import ChainEvent, EventFilter, Position, Predicate
from connectionchain.model import chain_time

COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


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

    @property
    def event(self) -> ChainEvent:
        log = self.log
        return ChainEvent(
            at=Position(block=log.block, log_index=log.log_index),
            block_hash=log.block_hash,
            time=chain_time(log.time),
            transaction=log.transaction,
            values={name: str(value) for name, value in self.values.items()},
        )


class Check(NamedTuple):
    """A predicate made ready: its value as the event's field has it."""

    field: str
    compare: Callable[[Any, Any], bool]
    value: Value


class Asked(NamedTuple):
    """A filter made ready: what is left to check of an event that was found by the value of one field."""

    number: int
    since: int
    checks: tuple[Check, ...]


class Kind:
    """All filters for one type of event by one contract, by the field each can be found by and its value."""

    def __init__(self, event: EventType) -> None:
        self.event = event
        self.by_value: dict[str, dict[str, list[Asked]]] = defaultdict(lambda: defaultdict(list))

    def add(self, number: int, wanted: EventFilter) -> None:
        key = next((each for each in wanted.where if each.op == "eq"), None)
        checks = tuple(_check(self.event, each) for each in wanted.where if each is not key)
        field, value = (key.field, key.value) if key else ("", "")
        self.by_value[field][value].append(Asked(number, wanted.since, checks))

    def passed(self, match: Match) -> Iterator[int]:
        """The numbers of the filters that the event passes."""
        block, values = match.log.block, match.values
        for field, asked in self.by_value.items():
            for each in asked.get(str(values.get(field, "")), ()):
                if block >= each.since and all(compare(values[name], to) for name, compare, to in each.checks):
                    yield each.number


def _check(event: EventType, predicate: Predicate) -> Check:
    number = event.parameter(predicate.field).is_number
    return Check(predicate.field, COMPARISONS[predicate.op], int(predicate.value) if number else predicate.value)


class Sieve:
    """Many filters at once. The work for an event does not grow with filters that want another value of a field."""

    def __init__(self, wanted: Sequence[EventFilter]) -> None:
        companions = {n: each.companion for n, each in enumerate(wanted) if each.beside}
        self._companions = dict(zip(companions, range(len(wanted), len(wanted) + len(companions)), strict=True))
        self._wanted, self._size = len(wanted), len(wanted) + len(companions)
        self._kinds: dict[tuple[str, str], dict[str, Kind]] = defaultdict(dict)
        for n, each in enumerate([*wanted, *filter(None, companions.values())]):
            same_topic = self._kinds[each.contract, each.abi.topic]
            same_topic.setdefault(each.event, Kind(each.abi)).add(n, each)

    def sort(self, logs: Iterable[Log]) -> list[list[Match]]:
        """For each filter the events that pass it, in the order of the chain. What is malformed passes none."""
        found: list[list[Match]] = [[] for _ in range(self._size)]
        for log in sorted(logs, key=operator.attrgetter("block", "log_index")):
            for n, match in self._passed(log):
                found[n].append(match)
        for n, companion in self._companions.items():
            accompanied = {match.log.transaction for match in found[companion]}
            found[n] = [match for match in found[n] if match.log.transaction in accompanied]
        return found[: self._wanted]

    def _passed(self, log: Log) -> Iterator[tuple[int, Match]]:
        for kind in self._kinds.get((log.contract, log.topics[0]), {}).values() if log.topics else ():
            try:
                match = Match(log, kind.event.decode(log.topics, log.data))
            except Malformed:
                continue
            for n in kind.passed(match):
                yield n, match
