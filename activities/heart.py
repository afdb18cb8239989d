"""The heartbeat of an activity that waits: beats by itself, so that a lost worker is noticed and no live one is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

BEAT_S = 5


@asynccontextmanager
async def beating() -> AsyncIterator[None]:
    """Heartbeats while the block runs; does nothing outside an activity."""
    if not activity.in_activity():
        yield
        return
    task = asyncio.create_task(_beat())
    try:
        yield
    finally:
        task.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT_S)
