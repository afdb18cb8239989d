"""The states of a deal say how they are left, in the docstring of their enum; storms check that deals keep to it."""

from connectionchain import State
from tests.chaos.states import documented, undocumented


def test_states__each_is_reached_and_only_terminal_ones_have_no_exit() -> None:
    leaving, reached = ({step[side] for step in documented()} for side in (0, 1))
    assert leaving == {state for state in State if not state.terminal}
    assert reached == set(State) - {State.AWAITING_AUTHORIZATION}


def test_states__every_way_ends() -> None:
    """From every state a terminal one can be reached."""
    ending = {state for state in State if state.terminal}
    while more := {state for state, to in documented() if to in ending} - ending:
        ending |= more
    assert ending == set(State)


def test_states__an_undocumented_step_is_noticed() -> None:
    usual = [State.AWAITING_AUTHORIZATION, State.LOCKING, State.LOCKED, State.COMMITTING, State.SETTLED]
    assert undocumented(usual) == []
    assert undocumented([State.LOCKED, State.SETTLED, State.ABORTING]) == [
        (State.LOCKED, State.SETTLED),
        (State.SETTLED, State.ABORTING),
    ]
