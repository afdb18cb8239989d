"""Child processes: started with a log file, waited for until they answer, ended without leftovers.

A child is a pid and its start time, so that a stranger who got the pid later is never taken for it.
"""

import asyncio
import contextlib
import ctypes
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from connectionchain.errors import Unavailable

POLL_SECONDS = 0.02
GRACE_SECONDS = 10
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Child:
    """A process we started, now or in an earlier run."""

    name: str
    process: psutil.Process
    log: Path

    @property
    def started(self) -> float:
        """Unix time, from the operating system."""
        return float(self.process.create_time())

    @property
    def alive(self) -> bool:
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def last_words(self, lines: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def spawn(
    name: str, command: Sequence[str | Path], log: Path, *, outlive: bool, env: Mapping[str, str] | None = None
) -> Child:
    """Starts a program in its own session. Unless it may `outlive` us it dies with us, even by SIGKILL (Linux)."""
    leash = None if outlive or sys.platform != "linux" else _die_with_parent
    with log.open("ab") as out:
        process = psutil.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=leash,
            env=env and dict(env),
        )
    return Child(name, process, log)


async def until_ready(child: Child, ready: Callable[[], Awaitable[bool]], timeout: float = 60) -> None:
    """Polls `ready`; raises Unavailable with the log's last lines as soon as the child has died."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not await ready():
        if not child.alive:
            raise _failed(child, "ended while starting")
        if asyncio.get_running_loop().time() > deadline:
            raise _failed(child, f"did not answer within {timeout:g} s")
        await asyncio.sleep(POLL_SECONDS)


async def stop(children: Iterable[Child], grace: float = GRACE_SECONDS) -> None:
    """Asks all to end, kills those that have not after `grace` seconds, and waits until all are gone."""
    await kill(await _end(children, signal.SIGTERM, grace))


async def kill(children: Iterable[Child]) -> None:
    """What a crash looks like; waits until all are gone."""
    await _end(children, signal.SIGKILL, GRACE_SECONDS)


async def _end(children: Iterable[Child], number: signal.Signals, patience: float) -> list[Child]:
    """Signals all; returns those that are still there after `patience` seconds."""
    ending = list(children)
    for child in ending:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.process.send_signal(number)
    await asyncio.to_thread(psutil.wait_procs, [child.process for child in ending], timeout=patience)
    return [child for child in ending if child.alive]


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _failed(child: Child, how: str) -> Unavailable:
    words = child.last_words()
    return Unavailable(f"{child.name} {how}" + (f":\n{words}" if words else ""), remedy=f"its log is {child.log}")
