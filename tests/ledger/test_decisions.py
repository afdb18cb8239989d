"""One decision per deal, for ever, whoever asks at the same time and after whatever restart."""

import asyncio

import pytest

from connectionchain.certificate import Outcome
from connectionchain.errors import AlreadyDecided
from ledger.database import Database
from ledger.decisions import decide, decision

DEAL, OTHER = "0x" + "01" * 32, "0x" + "02" * 32


async def test_decide__is_kept_with_its_reason(database: Database) -> None:
    await decide(database, DEAL, Outcome.COMMIT, "every leg is locked")
    kept = await decision(database, DEAL)
    assert kept is not None
    assert (kept.outcome, kept.reason) == (Outcome.COMMIT, "every leg is locked")
    assert await decision(database, OTHER) is None


async def test_decide__the_same_again_keeps_the_first_reason(database: Database) -> None:
    await decide(database, DEAL, Outcome.ABORT, "cancelled")
    await decide(database, DEAL, Outcome.ABORT, "decide_by has passed")
    kept = await decision(database, DEAL)
    assert kept is not None
    assert kept.reason == "cancelled"


@pytest.mark.parametrize(("first", "second"), [tuple(Outcome), tuple(Outcome)[::-1]])
async def test_decide__the_other_is_refused_and_changes_nothing(
    database: Database, first: Outcome, second: Outcome
) -> None:
    await decide(database, DEAL, first, "first")
    with pytest.raises(AlreadyDecided, match=f"decided to {first} it: first"):
        await decide(database, DEAL, second, "second")
    kept = await decision(database, DEAL)
    assert kept is not None
    assert (kept.outcome, kept.reason) == (first, "first")
    await decide(database, OTHER, second, "another deal is another decision")


async def test_decide__after_a_restart(database: Database) -> None:
    await decide(database, DEAL, Outcome.COMMIT, "first")
    again = Database(database.url)
    await again.create()
    try:
        with pytest.raises(AlreadyDecided):
            await decide(again, DEAL, Outcome.ABORT, "second")
    finally:
        await again.close()


async def test_decide__by_two_processes_at_once_is_one_decision(database: Database) -> None:
    """Even then: a second writer may fail and be asked again, but it never stores the other outcome."""
    others = [Database(database.url) for _ in range(2)]
    asked = [decide(each, DEAL, outcome, outcome) for each in others for outcome in Outcome for _ in range(3)]
    try:
        answers = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        await asyncio.gather(*(each.close() for each in others))
    outcomes = [outcome for _ in others for outcome in Outcome for _ in range(3)]
    kept = await decision(database, DEAL)
    assert kept is not None
    done = {outcome for outcome, answer in zip(outcomes, answers, strict=True) if answer is None}
    assert done == {kept.outcome}
    refused = [answer for outcome, answer in zip(outcomes, answers, strict=True) if outcome is not kept.outcome]
    assert len(refused) == 6
    assert all(isinstance(each, BaseException) for each in refused)
