"""The heartbeat of an activity that waits: beats by itself, so that a lost worker is noticed and no live one is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from temporalio import activity

BEAT_S = 5


@asynccontextmanager
async def beating(telling: Callable[[], object] = lambda: None) -> AsyncIterator[None]:
    """Heartbeats, `telling` how far it is, while the block runs; does nothing outside an activity."""
    if not activity.in_activity():
        yield
        return
    task = asyncio.create_task(_beat(telling))
    try:
        yield
    finally:
        task.cancel()


async def _beat(telling: Callable[[], object]) -> None:
    while True:
        activity.heartbeat(telling())
        await asyncio.sleep(BEAT_S)
