"""How long a deal or mandate takes to go on after a fault, read from the engine's histories.

It is affected by a fault if an activity on a queue of what was struck was under way when the fault ended; it has
gone on when that activity completes. That includes what the chain itself needs to make a transaction final.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType

from activities.orders import attestor_queue, node_queue
from tests.chaos.storm import Aftermath, Struck
from tests.chaos.world import World

_AT_ONCE = 8


@dataclass(frozen=True)
class Work:
    """One completed activity: its queue, and when it was asked for and done (Unix times)."""

    queue: str
    asked: float
    done: float


async def resume_times(world: World, after: Aftermath) -> dict[str, list[float]]:
    """Seconds by kind of fault, for every pair of a fault and a deal or mandate it affected, ascending."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def of(deal: str) -> list[Work]:
        async with limit:
            return await _works(world, deal)

    works = await asyncio.gather(*map(of, [*after.ends, *after.bills]))
    found: dict[str, list[float]] = {}
    for struck in after.struck:
        seconds = [each for deal in works for each in _after(deal, struck.ended, _queues(world, struck))]
        found[struck.strike.kind] = sorted(found.get(struck.strike.kind, []) + seconds)
    return found


def _after(works: Sequence[Work], ended: float, queues: set[str]) -> Iterator[float]:
    """The deal's first completion after the fault, of work that was under way when it ended."""
    done = [each.done for each in works if each.asked < ended < each.done and each.queue in queues]
    if done:
        yield min(done) - ended


def _queues(world: World, struck: Struck) -> set[str]:
    queues: set[str] = set()
    nodes = {name: node_queue(chain.id) for name, chain in world.network.chains.items()}
    for target in struck.targets:
        if target in world.attestors:
            queues.add(attestor_queue(target))
        elif target in nodes:
            queues.add(nodes[target])
        else:
            queues.update(nodes.values())
    return queues


async def _works(world: World, deal: str) -> list[Work]:
    history = await world.client.engine.temporal.get_workflow_handle(deal).fetch_history()
    asked: dict[int, tuple[str, float]] = {}
    works: list[Work] = []
    for event in history.events:
        at = event.event_time.ToNanoseconds() / 1e9
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            asked[event.event_id] = (event.activity_task_scheduled_event_attributes.task_queue.name, at)
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            queue, since = asked[event.activity_task_completed_event_attributes.scheduled_event_id]
            works.append(Work(queue, since, at))
    return works
