"""What a mandate that was lost goes on from: its own word, and the chain's on what is locked."""

from dataclasses import replace
from unittest.mock import create_autospec

from temporalio.client import WorkflowExecutionDescription

from activities.lost import Contract, progress_again
from connectionchain.billing import BillingStart, BillState, Progress
from connectionchain.escrow import Terms
from tests.activities.test_watch import mandate

MANDATE = mandate()
CAP, FIRST_TOP_UP, SECOND_TOP_UP = (MANDATE.entry(number, 10**9) for number in range(3))


def changed(terms: Terms, **news: object) -> Terms:
    return terms.model_copy(update=news)


def test_number__of_each_lock_that_counts() -> None:
    start = BillingStart(mandate=MANDATE, attestors=("alice",), threshold=1)
    mandate = Contract(create_autospec(WorkflowExecutionDescription), start, Progress(entries=(10**9, 10**9)))
    here = MANDATE.chain
    assert [mandate.number(here, each) for each in (CAP, FIRST_TOP_UP, SECOND_TOP_UP)] == [0, 1, None]
    strangers = changed(CAP, payer=CAP.payee), changed(CAP, expiry=CAP.expiry - 1), changed(CAP, amount=1)
    assert {mandate.number(here, each) for each in (*strangers, changed(FIRST_TOP_UP, amount=7))} == {None}
    assert mandate.number(MANDATE.usage.chain, CAP) is None
    assert replace(mandate, progress=Progress()).number(here, CAP) == 0  # its lock came late


def test_progress__lost_while_locking_is_active_once_the_cap_is_locked() -> None:
    again = progress_again(MANDATE, Progress(state=BillState.LOCKING), [CAP])
    assert (again.state, again.entries) == (BillState.ACTIVE, (10**9,))


def test_progress__lost_before_anything_was_locked_begins_anew() -> None:
    known = Progress(state=BillState.LOCKING)
    assert progress_again(MANDATE, known, [changed(CAP, payer=CAP.payee)]) == known


def test_progress__top_ups_count_without_a_gap_and_what_is_due_is_reckoned_anew() -> None:
    known = Progress(state=BillState.CLOSING, entries=(7,), settled=5, reckoned=6)
    again = progress_again(MANDATE, known, [SECOND_TOP_UP, CAP])
    assert (again.entries, again.settled, again.reckoned) == ((7,), 5, 0)
    again = progress_again(MANDATE, known, [SECOND_TOP_UP, CAP, FIRST_TOP_UP])
    assert (again.state, again.entries) == (BillState.CLOSING, (7, 10**9, 10**9))
    again = progress_again(MANDATE, known, [CAP, FIRST_TOP_UP, changed(FIRST_TOP_UP, amount=1)])
    assert again.entries == (7, 10**9)  # of two with one number the first
