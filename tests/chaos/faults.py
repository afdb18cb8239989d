"""What can go wrong, one small class a kind: `strike` makes it happen, and returns when it is over and mended."""

import asyncio
import contextlib
import importlib.util
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg

from connectionchain.errors import Unavailable
from devnet.chains import Anvil
from devnet.service import Service
from tests.chaos import troubles
from tests.chaos.proxy import Passing, Trouble
from tests.chaos.world import BLOCK_TIME, FINAL_DEPTH, Worker, World

GWEI = 10**9
MOST_RESTARTS = 30
SPIKE, NORMAL = 450 * GWEI, GWEI


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


class DatabaseLoss(Fault):
    """PostgreSQL: every connection is cut, again and again. SQLite: somebody else holds the file's lock."""

    kind = "database connection loss"

    async def strike(self) -> None:
        self.targets = list(self.world.nodes)
        seconds = self.rng.uniform(4, 10)
        async with self.world.lock("ledger"):
            if self.world.ledger.startswith("sqlite"):
                await asyncio.to_thread(self._hold_sqlite)
                self.struck()
                await asyncio.sleep(seconds)
                await asyncio.to_thread(self._holding.close)
            else:
                self.struck()
                await self._cut_postgres(seconds)

    def _hold_sqlite(self) -> None:
        path = self.world.ledger.partition("///")[2]
        self._holding = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._holding.execute("BEGIN IMMEDIATE")

    async def _cut_postgres(self, seconds: float) -> None:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
        url = self.world.ledger.replace("postgresql+psycopg://", "postgresql://")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            until = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < until:
                await connection.execute(cut, (connection.info.dbname,))
                await asyncio.sleep(0.2)


class DiskFull(Fault):
    """The kernel refuses every further byte the process writes to a file (RLIMIT_FSIZE): database, WAL and log."""

    kind = "disk full"

    async def strike(self) -> None:
        service: Worker = self.rng.choice([self.world.nodes[self.passing.program], *self.world.attestors.values()])
        self.targets = [service.name]
        async with self.world.lock(service.name):
            assert service.child
            process = service.child.process
            process.rlimit(psutil.RLIMIT_FSIZE, (0, psutil.RLIM_INFINITY))
            self.struck()
            await asyncio.sleep(self.rng.uniform(4, 10))
            if service.alive:
                process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
            else:
                await self.restart(service)


class ClockSkew(Fault):
    """The program starts anew with a clock that is wrong, and later with the right one (libfaketime)."""

    kind = "clock skew of a worker"

    @classmethod
    def possible(cls, world: World) -> bool:
        """Only if the library is there and made for this machine."""
        shown = subprocess.run([sys.executable, "-c", _CLOCK], env=os.environ | _skewed(1000), capture_output=True)
        return _faketime() is not None and abs(float(shown.stdout or 0) - time.time() - 1000) < 100

    async def strike(self) -> None:
        service: Worker = self.rng.choice([self.world.nodes[self.passing.program], *self.world.attestors.values()])
        self.targets = [service.name]
        skew = self.rng.choice((-1800, -45, 45, 1800))
        service.extra = _skewed(skew)
        try:
            await self.crash(service)
            await asyncio.sleep(self.rng.uniform(5, 10))
        finally:
            service.extra = {}
            await self.crash(service)


_CLOCK = "import time; print(time.time())"


def _skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so much."""
    library = str(_faketime() or "")
    return {"LD_PRELOAD": library, "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _faketime() -> Path | None:
    found = importlib.util.find_spec("libfaketime")
    places = found.submodule_search_locations if found else None
    return next((lib for place in places or [] for lib in Path(place).rglob("libfaketime.so.1")), None)


class _Reorg(Fault):
    """The newest 1 to FINAL_DEPTH - 1 blocks are replaced by others."""

    async def strike(self) -> None:
        self.targets = [self.passing.chain]
        chain, depth = self.world.chain(self.passing.chain), self.rng.randrange(1, FINAL_DEPTH)
        async with self.world.lock(f"blocks {self.passing.chain}"):
            again = await self._transactions(depth)
            await chain.call("anvil_reorg", depth, again)
            self.struck()
            await chain.settle(blocks=2)  # a crash right after it must not bring the other fork back

    async def _transactions(self, depth: int) -> list[tuple[str, int]]:
        """What the new blocks have in them, and in which of them."""
        return []


class ReorgDropping(_Reorg):
    kind = "reorg that drops transactions"


class ReorgKeeping(_Reorg):
    """The same transactions, all in the last of the new blocks."""

    kind = "reorg that moves transactions"

    async def _transactions(self, depth: int) -> list[tuple[str, int]]:
        chain = self.world.chain(self.passing.chain)
        head = await chain.quantity("eth_blockNumber")
        hashes: list[str] = []
        for number in range(head - depth + 1, head + 1):
            hashes += (await chain.call("eth_getBlockByNumber", hex(number), False))["transactions"]
        return [(await chain.call("eth_getRawTransactionByHash", each), depth - 1) for each in hashes]


class DroppedMempool(Fault):
    kind = "dropped mempool"

    async def strike(self) -> None:
        self.targets = [self.passing.chain]
        for _ in range(self.rng.randrange(1, 4)):
            await self.world.chain(self.passing.chain).call("anvil_dropAllTransactions")
            self.struck()
            await asyncio.sleep(0.5)


class FeeSpike(Fault):
    """Nothing is included below 450 gwei for some blocks: more than double what was offered before."""

    kind = "base-fee spike"

    async def strike(self) -> None:
        self.targets = [self.passing.chain]
        chain = self.world.chain(self.passing.chain)
        async with self.world.lock(f"fee {self.passing.chain}"):
            for _ in range(self.rng.randrange(4, 12)):
                await self._set(chain, SPIKE)
                self.struck()
                await asyncio.sleep(BLOCK_TIME)
            await self._set(chain, NORMAL)

    async def _set(self, chain: Anvil, fee: int) -> None:
        """Once the node is up, should another fault have killed it."""
        while True:
            with contextlib.suppress(Unavailable):
                return await chain.call("anvil_setNextBlockBaseFeePerGas", hex(fee))
            await asyncio.sleep(BLOCK_TIME)


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


FAULTS: tuple[type[Fault], ...] = (
    KillWorker,
    KillAttestor,
    KillEngine,
    KillChain,
    FreezeWorker,
    DatabaseLoss,
    DiskFull,
    ClockSkew,
    ReorgDropping,
    ReorgKeeping,
    DroppedMempool,
    FeeSpike,
    RpcDelays,
    RpcDrops,
    RpcDuplicates,
    RpcLags,
    RpcServerErrors,
    RpcGarbage,
    RpcWrongChain,
)
BY_KIND = {each.kind: each for each in FAULTS}
