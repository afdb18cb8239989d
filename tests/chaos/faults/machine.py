"""The machine below the programs: database, disk, clock."""

import asyncio
import importlib.util
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg

from tests.chaos.faults.base import Fault
from tests.chaos.world import Worker, World


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
            _clear_away()


_CLOCK = "import time; print(time.time())"


def _skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so much."""
    library = str(_faketime() or "")
    return {"LD_PRELOAD": library, "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _clear_away() -> None:
    """What libfaketime leaves of each process that was killed."""
    for left in Path("/dev/shm").glob("*faketime_s*_*"):
        if not psutil.pid_exists(int(left.name.rsplit("_", 1)[1])):
            left.unlink(missing_ok=True)


def _faketime() -> Path | None:
    found = importlib.util.find_spec("libfaketime")
    places = found.submodule_search_locations if found else None
    return next((lib for place in places or [] for lib in Path(place).rglob("libfaketime.so.1")), None)
