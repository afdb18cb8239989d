"""What every fault has in common."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from connectionchain.errors import Unavailable
from devnet.service import Service
from tests.chaos.proxy import Passing
from tests.chaos.world import World

MOST_RESTARTS = 30


@dataclass
class Fault:
    """Strikes `world` while the transaction `passing` is held; `rng` is this strike's own.

    `struck` must be called as soon as the damage is done: it lets the transaction go on. After `strike`, `targets`
    are the programs and chains that had to stand it.
    """

    world: World
    passing: Passing
    rng: random.Random
    struck: Callable[[], None]
    targets: Sequence[str] = ()

    kind: ClassVar[str]

    @classmethod
    def possible(cls, world: World) -> bool:
        return True

    async def strike(self) -> None:
        raise NotImplementedError

    async def crash(self, service: Service, down: float = 0.0) -> None:
        """SIGKILL, then a start on the same files after `down` seconds."""
        async with self.world.lock(service.name):
            await service.kill()
            self.struck()
            await asyncio.sleep(down)
            await self.restart(service)

    async def restart(self, service: Service) -> None:
        """As a supervisor would: again, as long as it refuses to start because of what else is broken."""
        for _ in range(MOST_RESTARTS):
            with contextlib.suppress(Unavailable):
                return await service.start()
            await asyncio.sleep(1)
        await service.start()
