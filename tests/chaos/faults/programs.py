"""Programs that die or stand still."""

import asyncio
import contextlib

from sqlmodel import func, select

from ledger.database import Database
from ledger.usage import UseRow
from tests.chaos.faults.base import Fault
from tests.chaos.world import FINAL_DEPTH, World

LONGEST_UNHEARD_S = 5.0


async def uses_booked(world: World) -> int:
    """How many uses are on all bills."""
    database = Database(world.ledger)
    async with database.read() as session:
        found = (await session.exec(select(func.count()).select_from(UseRow))).one()
    await database.close()
    return found


class KillWorker(Fault):
    kind = "kill -9 of a node worker"

    async def strike(self) -> None:
        self.targets = [self.passing.program]
        await self.crash(self.world.nodes[self.passing.program])


class KillUnheard(Fault):
    """The engine stands still meanwhile: what the worker did since, such as putting a use on the bill, nobody heard."""

    kind = "kill -9 of a node worker that nobody heard"

    async def strike(self) -> None:
        node, engine = self.world.nodes[self.passing.program], self.world.devnet.temporal
        self.targets = [self.passing.program]
        async with self.world.lock(engine.name), self.world.lock(node.name):
            assert engine.child
            before = await uses_booked(self.world)
            engine.child.process.suspend()
            try:
                self.struck()
                await self._booked(before)
                await node.kill()
            finally:
                engine.child.process.resume()
            await self.restart(node)

    async def _booked(self, before: int) -> None:
        """Waits for a use to be put on a bill; some seconds if there is none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_UNHEARD_S):
                while await uses_booked(self.world) == before:  # noqa: ASYNC110 - the database is polled
                    await asyncio.sleep(0.1)


class KillAttestor(Fault):
    kind = "kill -9 of an attestor"

    async def strike(self) -> None:
        name = self.rng.choice(sorted(self.world.attestors))
        self.targets = [name]
        await self.crash(self.world.attestors[name], self.rng.uniform(0, 5))


class KillEngine(Fault):
    kind = "kill -9 of the Temporal server"

    async def strike(self) -> None:
        self.targets = ["temporal"]
        await self.crash(self.world.devnet.temporal, self.rng.uniform(0, 3))


class KillChain(Fault):
    kind = "kill -9 of a chain node"

    async def strike(self) -> None:
        chain = self.world.chain(self.passing.chain)
        self.targets = [self.passing.chain]
        async with self.world.lock(f"blocks {self.passing.chain}"):
            await chain.settle()  # what a crash undoes must not be final: no client can mend that
            await self.crash(chain, self.rng.uniform(0, 5))
            await chain.settle(blocks=FINAL_DEPTH)  # the states before are gone: nothing could be reorganised


class FreezeWorker(Fault):
    """Longer than its heartbeat timeout: others take its work over, then it wakes up in the middle of it."""

    kind = "a node worker frozen, then awake again"

    async def strike(self) -> None:
        service = self.world.nodes[self.passing.program]
        self.targets = [self.passing.program]
        async with self.world.lock(service.name):
            assert service.child
            service.child.process.suspend()
            self.struck()
            await asyncio.sleep(self.rng.uniform(22, 28))
            service.child.process.resume()
