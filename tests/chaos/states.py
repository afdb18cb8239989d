"""The exits of each state of a deal or mandate, as its enum documents them, and the way it took through them."""

import re
from itertools import pairwise

from temporalio.api.enums.v1 import EventType
from temporalio.converter import DataConverter

from connectionchain import State
from connectionchain.billing import BillState
from tests.chaos.world import World

States = type[State] | type[BillState]


def documented(states: States) -> set[tuple[str, str]]:
    """Every arrow in the docstring of the enum: `A -> B why`, then lines `-> C why` that are A's as well."""
    arrows, state = set(), ""
    for line in (states.__doc__ or "").splitlines():
        if found := re.match(r"\s*([A-Z_]*)\s*-> ([A-Z_]+)\b", line):
            state = states[found[1]] if found[1] else state
            arrows.add((state, states[found[2]]))
    return arrows


async def way(world: World, deal: str, states: States) -> list[str]:
    """The states it showed, in order, from the engine's history."""
    history = await world.client.engine.temporal.get_workflow_handle(deal).fetch_history()
    shown: list[str] = [states("AwaitingAuthorization")]
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            if "DealState" in fields:
                (value,) = await DataConverter.default.decode([fields["DealState"]])
                shown.append(states(value[0] if isinstance(value, list) else value))
    return shown


def undocumented(shown: list[str], states: States) -> list[tuple[str, str]]:
    return [step for step in pairwise(shown) if step not in documented(states)]
