"""The exits of each state of a deal, as its enum documents them, and the way a deal took through them."""

import re
from itertools import pairwise

from temporalio.api.enums.v1 import EventType
from temporalio.converter import DataConverter

from connectionchain import State
from tests.chaos.world import World


def documented() -> set[tuple[State, State]]:
    """Every arrow in the docstring of `State`: `A -> B why`, then lines `-> C why` that are A's as well."""
    arrows, state = set(), None
    for line in (State.__doc__ or "").splitlines():
        if found := re.match(r"\s*([A-Z_]*)\s*-> ([A-Z_]+)\b", line):
            state = State[found[1]] if found[1] else state
            assert state is not None
            arrows.add((state, State[found[2]]))
    return arrows


async def way(world: World, deal: str) -> list[State]:
    """The states a deal showed, in order, from the engine's history."""
    history = await world.client.engine.temporal.get_workflow_handle(deal).fetch_history()
    states = [State.AWAITING_AUTHORIZATION]
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            if "DealState" in fields:
                (value,) = await DataConverter.default.decode([fields["DealState"]])
                states.append(State(value[0] if isinstance(value, list) else value))
    return states


def undocumented(states: list[State]) -> list[tuple[State, State]]:
    return [step for step in pairwise(states) if step not in documented()]
