"""What a mandate that was lost goes on from: its own word, and the chain's on what is locked."""

from activities.lost import number_of, progress_again
from connectionchain.billing import BillState, Progress
from tests.activities.test_watch import mandate

MANDATE = mandate()
CAP, FIRST_TOP_UP, SECOND_TOP_UP = (MANDATE.entry(number, 10**9) for number in range(3))


def test_number__of_each_entry_and_of_no_strangers() -> None:
    assert [number_of(MANDATE, each) for each in (CAP, FIRST_TOP_UP, SECOND_TOP_UP)] == [0, 1, 2]
    assert number_of(MANDATE, CAP.model_copy(update={"payer": CAP.payee})) is None
    assert number_of(MANDATE, CAP.model_copy(update={"expiry": CAP.expiry - 1})) is None


def test_progress__lost_while_locking_is_active_once_the_cap_is_locked() -> None:
    again = progress_again(MANDATE, Progress(state=BillState.LOCKING), [CAP])
    assert (again.state, again.entries) == (BillState.ACTIVE, (10**9,))


def test_progress__lost_before_anything_was_locked_begins_anew() -> None:
    known = Progress(state=BillState.LOCKING)
    assert progress_again(MANDATE, known, [CAP.model_copy(update={"payer": CAP.payee})]) == known


def test_progress__top_ups_count_without_a_gap_and_what_is_due_is_reckoned_anew() -> None:
    known = Progress(state=BillState.CLOSING, entries=(7,), settled=5, reckoned=6)
    again = progress_again(MANDATE, known, [SECOND_TOP_UP, CAP])
    assert (again.entries, again.settled, again.reckoned) == ((7,), 5, 0)
    again = progress_again(MANDATE, known, [SECOND_TOP_UP, CAP, FIRST_TOP_UP])
    assert (again.state, again.entries) == (BillState.CLOSING, (7, 10**9, 10**9))
