"""A survey finds what is open, unrecorded and unfounded, whether it begins at the beginning or goes on."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from activities.survey import Survey, survey
from adapters.base import Happening
from connectionchain.escrow import Terms
from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from connectionchain.ids import ChainId, TokenId
from ledger import evidence
from ledger.database import Database
from tests.activities.test_watch import CHAIN, CONTRACT, HANAKO, TARO, block

SPAN = 3
"""So many blocks are shown at a time."""


@dataclass
class Escrow:
    """A chain's, up to final block `last`; `asked` for which blocks."""

    chain: ChainId = CHAIN
    last: int = 10
    happened: list[Happening] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def block(self, _depth: str) -> Block:
        return block(self.last)

    async def happenings(self, first: int, last: int) -> AsyncIterator[Sequence[Happening]]:
        self.asked.append((first, last))
        for start in range(first, last + 1, SPAN):
            end = min(last, start + SPAN - 1)
            yield [each for each in self.happened if start <= each.step.block.number <= end]

    def __call__(self, number: int, entry: str, kind: Kind) -> EvidenceRecord:
        """It happens in block `number`; its evidence, to be recorded or not."""
        terms = Terms(payer=HANAKO, payee=TARO, token=CONTRACT, amount=5, expiry=2**33, deal=word(entry))
        at, transaction = block(number), word(f"{number} {entry}")
        step = Step(leg=0, kind=kind, chain=self.chain, transaction=transaction, block=at, log_index=0)
        self.happened.append(Happening(entry, terms if kind is Kind.LOCKED else None, step))
        token = TokenId(f"{self.chain}/erc20:{CONTRACT}")
        return EvidenceRecord(deal=word(entry), escrow_id=word(entry), step=step, token=token, amount=5)


def word(text: str) -> str:
    return "0x" + text.encode().hex().rjust(64, "0")


@pytest.fixture
async def database(tmp_path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
    await database.create()
    yield database
    await database.close()


async def record(database: Database, *records: EvidenceRecord) -> None:
    async with database.write() as session:
        await evidence.extend(session, records)


async def log(database: Database, *records: EvidenceRecord) -> None:
    """As leaves of the log, which they are soon."""
    async with database.write() as session:
        first = await evidence.size(session)
        for n, each in enumerate(records, first):
            deal, body = bytes.fromhex(each.deal[2:]), each.canonical().decode()
            session.add(evidence.EvidenceEntry(position=n, event=evidence.event(each), deal=deal, body=body))


def told(found: Survey) -> dict[str, tuple[bool, list[Kind]]]:
    """Of each entry whether it is open, and what there is no evidence of."""
    return {each.entry: (each.open, [step.kind for step in each.unrecorded]) for each in found.entries.values()}


@pytest.fixture
async def escrow(database) -> Escrow:
    """Five entries: done with; open; unrecorded; half recorded; locked, not recorded."""
    escrow = Escrow()
    await record(database, escrow(1, "done", Kind.LOCKED), escrow(7, "done", Kind.RELEASED))
    await record(database, escrow(2, "open", Kind.LOCKED))
    escrow(2, "unrecorded", Kind.LOCKED)
    escrow(3, "unrecorded", Kind.REFUNDED)
    await record(database, escrow(3, "half", Kind.LOCKED))
    escrow(9, "half", Kind.RECLAIMED)
    escrow(10, "new", Kind.LOCKED)
    return escrow


FOUND = {
    "open": (True, []),
    "unrecorded": (False, [Kind.LOCKED, Kind.REFUNDED]),
    "half": (False, [Kind.RECLAIMED]),
    "new": (True, [Kind.LOCKED]),
}


async def test_survey__from_the_beginning(escrow, database) -> None:
    found = await survey(escrow, database, None)
    assert told(found) == FOUND
    assert (found.compared, found.unfounded, found.last.number) == (5, [], 10)


async def test_survey__goes_on_where_the_last_one_ended(escrow, database) -> None:
    past = await survey(escrow, database, None)
    escrow.last = 20
    await record(database, escrow(11, "open", Kind.RELEASED))
    escrow(12, "new", Kind.REFUNDED)
    await record(database, escrow(13, "newest", Kind.LOCKED))
    found = await survey(escrow, database, past)
    assert escrow.asked == [(0, 10), (11, 20)]
    assert told(found) == {
        "unrecorded": FOUND["unrecorded"],
        "half": FOUND["half"],
        "new": (False, [Kind.LOCKED, Kind.REFUNDED]),
        "newest": (True, []),
    }
    assert told(past) == FOUND  # it can be gone on from again, should this one fail
    assert told(await survey(escrow, database, past)) == told(found)
    assert told(await survey(escrow, database, None)) == told(found)


async def test_survey__evidence_that_came_late_settles_it(escrow, database) -> None:
    past = await survey(escrow, database, None)
    await record(database, *(Escrow()(each.step.block.number, each.entry, each.step.kind) for each in escrow.happened))
    assert told(await survey(escrow, database, past)) == {"open": (True, []), "new": (True, [])}


async def test_unfounded__is_evidence_of_what_never_happened(escrow, database) -> None:
    elsewhere = Escrow()
    made_up = elsewhere(5, "made up", Kind.LOCKED)
    other_block = made_up.model_copy(update={"step": made_up.step.model_copy(update={"block": block(6)})})
    displaced = made_up.model_copy(update={"step": made_up.step.model_copy(update={"kind": Kind.DISPLACED})})
    not_final_here = elsewhere(11, "too new", Kind.LOCKED)
    other_chain = replace(elsewhere, chain=ChainId("eip155:9"))(5, "other chain", Kind.LOCKED)
    await record(database, made_up, other_block, displaced, not_final_here, other_chain)
    found = await survey(escrow, database, None)
    assert found.unfounded == [made_up, other_block]
    assert told(found) == FOUND


async def test_unfounded__goes_on_with_what_is_new_in_the_log(escrow, database) -> None:
    elsewhere, escrow.last = Escrow(), 5
    await log(database, early := elsewhere(4, "made up", Kind.LOCKED))
    past = await survey(escrow, database, None)
    assert (past.unfounded, past.logged) == ([early], 1)
    escrow.last = 20
    await log(database, escrow(15, "open", Kind.RELEASED), late := elsewhere(16, "made up", Kind.RELEASED))
    found = await survey(escrow, database, replace(past, unfounded=[]))
    assert (found.unfounded, found.logged) == ([late], 3)


async def test_evidence__of_many_pages_is_read_whole(database) -> None:
    escrow, many = Escrow(last=evidence.PAGE * 2), evidence.PAGE * 2 + 1
    await log(database, *(escrow(n, f"{n}", Kind.LOCKED) for n in range(many)))
    found = await survey(escrow, database, None)
    assert (found.compared, found.unfounded) == (many, [])
    assert all(each.open and not each.unrecorded for each in found.entries.values())
