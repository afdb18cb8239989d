"""The way to a chain."""

import asyncio

from tests.chaos import troubles
from tests.chaos.faults.base import Fault
from tests.chaos.proxy import Trouble


class _Rpc(Fault):
    """One program's URL of the chain misbehaves, or everybody's."""

    async def strike(self) -> None:
        chain = self.passing.chain
        routes = self.rng.choice(([f"{self.passing.program}/{chain}"], self.world.routes(chain)))
        self.targets = [chain]
        with self.world.proxy.troubled(routes, self.trouble()):
            self.struck()
            await asyncio.sleep(self.rng.uniform(3, 12))

    def trouble(self) -> Trouble:
        raise NotImplementedError


class RpcDelays(_Rpc):
    kind = "RPC delays"

    def trouble(self) -> Trouble:
        return troubles.Delay(self.rng)


class RpcDrops(_Rpc):
    kind = "RPC drops connections"

    def trouble(self) -> Trouble:
        return troubles.Drop(self.rng)


class RpcDuplicates(_Rpc):
    kind = "RPC sends twice"

    def trouble(self) -> Trouble:
        return troubles.Duplicate()


class RpcLags(_Rpc):
    kind = "RPC lags behind"

    def trouble(self) -> Trouble:
        return troubles.Lag(self.rng)


class RpcServerErrors(_Rpc):
    kind = "RPC answers 5xx"

    def trouble(self) -> Trouble:
        return troubles.ServerError(self.rng)


class RpcGarbage(_Rpc):
    kind = "RPC answers garbage"

    def trouble(self) -> Trouble:
        return troubles.Garbage(self.rng)


class RpcWrongChain(_Rpc):
    kind = "RPC of another chain"

    def trouble(self) -> Trouble:
        others = [name for name in self.world.network.chains if name != self.passing.chain]
        return troubles.WrongChain(self.rng.choice(others))
