"""Programs that die or stand still."""

import asyncio

from tests.chaos.faults.base import Fault


class KillWorker(Fault):
    kind = "kill -9 of a node worker"

    async def strike(self) -> None:
        self.targets = [self.passing.program]
        await self.crash(self.world.nodes[self.passing.program])


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
            await chain.settle(blocks=1)


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
