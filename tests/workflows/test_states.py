"""The states of deals and mandates say how they are left, in the docstring of their enum; storms check it."""

import pytest

from connectionchain import State
from connectionchain.billing import BillState
from tests.chaos.states import documented, undocumented

both = pytest.mark.parametrize("states", [State, BillState])


@both
def test_states__each_is_reached_and_only_terminal_ones_have_no_exit(states) -> None:
    leaving, reached = ({step[side] for step in documented(states)} for side in (0, 1))
    assert leaving == {state for state in states if not state.terminal}
    assert reached == set(states) - {states.AWAITING_AUTHORIZATION}


@both
def test_states__every_way_ends(states) -> None:
    """From every state a terminal one can be reached."""
    ending = {state for state in states if state.terminal}
    while more := {state for state, to in documented(states) if to in ending} - ending:
        ending |= more
    assert ending == set(states)


def test_states__an_undocumented_step_is_noticed() -> None:
    usual = [State.AWAITING_AUTHORIZATION, State.LOCKING, State.LOCKED, State.COMMITTING, State.SETTLED]
    assert undocumented(usual, State) == []
    assert undocumented([State.LOCKED, State.SETTLED, State.ABORTING], State) == [
        (State.LOCKED, State.SETTLED),
        (State.SETTLED, State.ABORTING),
    ]
