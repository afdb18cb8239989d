"""Decodes logs and sorts them by the filters they pass."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from connectionchain.abi_events import EventType, Malformed, Value
from connectionchain.events import ChainEvent, EventFilter, Position, Predicate
from connectionchain.model import chain_time


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


class Sieve:
    """Many filters at once. The work for an event does not grow with filters that want another value of a field."""

    def __init__(self, wanted: Sequence[EventFilter]) -> None:
        companions = {n: each.companion for n, each in enumerate(wanted) if each.beside}
        self._companions = dict(zip(companions, range(len(wanted), len(wanted) + len(companions)), strict=True))
        self._filters = filters = [*wanted, *filter(None, companions.values())]
        self._wanted = len(wanted)
        self._types: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._by_value: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
        self._keys: dict[tuple[str, str], set[str]] = defaultdict(set)
        for n, each in enumerate(filters):
            self._types[each.contract, each.abi.topic].add(each.event)
            key = next((one for one in each.where if one.op == "eq"), Predicate(field="", value=""))
            self._keys[each.contract, each.event].add(key.field)
            self._by_value[each.contract, each.event, key.field, key.value].append(n)

    def sort(self, logs: Iterable[Log]) -> list[list[Match]]:
        """For each filter the events that pass it, in the order of the chain. What is malformed passes none."""
        found: list[list[Match]] = [[] for _ in self._filters]
        for log in sorted(logs, key=lambda each: (each.block, each.log_index)):
            for n, match in self._passed(log):
                found[n].append(match)
        for n, companion in self._companions.items():
            accompanied = {match.log.transaction for match in found[companion]}
            found[n] = [match for match in found[n] if match.log.transaction in accompanied]
        return found[: self._wanted]

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
