"""One chain's escrow beside its evidence: what is open, what nobody recorded, and what is on record and never happened.

A survey goes on from the one before: past blocks do not change, and an entry that has ended and is on record is done
with. One that begins at the escrow's first block looks at everything.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from adapters.base import ChainAdapter, Happening
from connectionchain.escrow import Terms
from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from ledger import evidence
from ledger.database import Database

OPEN = (Kind.LOCKED, Kind.METERED)
_NO_EVENT = (Kind.CANCELLED, Kind.DISPLACED)
"""Evidence of these is of what did not happen, or not for good."""


@dataclass(frozen=True)
class Surveyed:
    """An entry with everything that happened to it, finally (legs not numbered); `unrecorded` is of that what there is
    no evidence of."""

    entry: str
    terms: Terms
    steps: tuple[Step, ...]
    unrecorded: tuple[Step, ...] = ()

    @property
    def open(self) -> bool:
        return self.steps[-1].kind in OPEN


@dataclass
class Survey:
    """What was found up to block `last`. `entries` are those that are open or not recorded, of `compared` in all;
    `logged` leaves of the log were read; it all `began` then (monotonic seconds) with a look at everything."""

    last: Block
    began: float
    logged: int
    compared: int
    entries: dict[str, Surveyed]
    unfounded: list[EvidenceRecord] = field(default_factory=list)
    _happened: set[int] = field(default_factory=set)

    def take(self, happenings: Iterable[Happening]) -> set[str]:
        """The entries (ids) that something happened to."""
        touched = set()
        for each in happenings:
            self._happened.add(_hash(each.step))
            before = self.entries.get(each.entry)
            if each.terms:
                before, self.compared = Surveyed(each.entry, each.terms, ()), self.compared + 1
            if before:
                self.entries[each.entry] = Surveyed(each.entry, before.terms, (*before.steps, each.step))
                touched.add(each.entry)
        return touched

    async def compare(self, database: Database, entries: Iterable[str]) -> None:
        """Forgets those of these entries that have ended and are on record."""
        chosen = [self.entries[each] for each in entries]
        async with database.read() as session:
            recorded = await evidence.recorded(session, {each.terms.deal for each in chosen})
        for each in chosen:
            missing = tuple(step for step in each.steps if (step.transaction, step.log_index) not in recorded)
            self.entries[each.entry] = Surveyed(each.entry, each.terms, each.steps, missing)
            if not (missing or each.open):
                del self.entries[each.entry]

    async def find_unfounded(self, database: Database, chain: ChainAdapter, first: int, since: int) -> None:
        """Of the leaves from `since` on, as far as they tell of blocks from `first` on, up to the last one."""
        async with database.read() as session:
            async for record in evidence.of_chain(session, chain.chain, since):
                step = record.step
                looked_at = first <= step.block.number <= self.last.number and step.kind not in _NO_EVENT
                if looked_at and _hash(step) not in self._happened:
                    self.unfounded.append(record)
        self._happened.clear()


async def survey(chain: ChainAdapter, database: Database, past: Survey | None) -> Survey:
    """Goes on from `past`; without it, begins at the beginning. Raises Unavailable if the chain does not answer."""
    last = await chain.block("final")
    async with database.read() as session:
        logged = await evidence.size(session)
    if past is None:
        now = Survey(last, time.monotonic(), logged, 0, {})
    else:
        now = Survey(last, past.began, logged, len(past.entries), dict(past.entries))
    first = past.last.number + 1 if past else 0
    async for happenings in chain.happenings(first, last.number):
        await now.compare(database, now.take(happenings))
    await now.compare(database, list(now.entries))  # some of it may have been recorded meanwhile
    await now.find_unfounded(database, chain, first, past.logged if past else 0)
    return now


def _hash(step: Step) -> int:
    """Instead of the event itself: there may be millions."""
    return hash((step.transaction, step.log_index, step.block.hash))
