"""Child processes: started with a log file, waited for until they answer, ended without leftovers.

A child is a pid and its start time, so that a stranger who got the pid later is never taken for it.
"""

import asyncio
import contextlib
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from connectionchain.errors import Unavailable

POLL_SECONDS = 0.02
GRACE_SECONDS = 20  # more than a worker takes to finish what it is at
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
            self.process.wait(0)  # also lets the system forget it, if it is ours and has ended
        except psutil.TimeoutExpired:
            return self.process.is_running()
        except psutil.NoSuchProcess:
            return False
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


async def until_ready(child: Child, ready: Callable[[], Awaitable[bool]], timeout: float = 120) -> None:
    """Polls `ready`; raises Unavailable with the log's last lines as soon as the child has died."""
    deadline = time.monotonic() + timeout
    while not await ready():
        if not child.alive:
            raise _failed(child, "ended while starting")
        if time.monotonic() > deadline:
            raise _failed(child, f"did not answer within {timeout:g} s")
        await asyncio.sleep(POLL_SECONDS)


async def stop(children: Iterable[Child], grace: float = GRACE_SECONDS) -> None:
    """Asks all to end, kills those that have not after `grace` seconds, and waits until all are gone."""
    await kill(await _end(children, signal.SIGTERM, grace))


async def kill(children: Iterable[Child]) -> None:
    """What a crash looks like; waits until all are gone."""
    await _end(children, signal.SIGKILL, GRACE_SECONDS)


async def _end(children: Iterable[Child], number: signal.Signals, patience: float) -> list[Child]:
    """Signals all; returns those that are still alive after `patience` seconds."""
    left = list(children)
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.process.send_signal(number)
    deadline = time.monotonic() + patience
    while left and time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        left = [child for child in left if child.alive]
    return left


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _failed(child: Child, how: str) -> Unavailable:
    words = child.last_words()
    return Unavailable(f"{child.name} {how}" + (f":\n{words}" if words else ""), remedy=f"its log is {child.log}")
