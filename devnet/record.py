"""What a lasting devnet writes down, so that later commands find its processes and ports again."""

import fcntl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
from pydantic import Field

from connectionchain.errors import Unavailable
from connectionchain.model import Model
from devnet.ports import Ports
from devnet.process import Child, stop

NETWORK_FILE = "connectionchain.json"
WORKER = "worker"
START_TOLERANCE_SECONDS = 2  # the kernel counts from a boot time that clock corrections move


class Recorded(Model):
    """A process we started: its pid alone could be a stranger's by now."""

    pid: int
    started: float
    log: Path

    def find(self, name: str) -> Child | None:
        """None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < START_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return None
        child = Child(name, process, self.log)
        return child if same and child.alive else None


class Record(Model):
    """Ports and block time (seconds) of a devnet, and its processes by service name."""

    ports: Ports
    block_time: float | None
    processes: dict[str, Recorded] = Field(default_factory=dict)

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """None if there is no devnet in `directory`."""
        path = _path(directory)
        return cls.model_validate_json(path.read_bytes()) if path.exists() else None

    def save(self, directory: Path) -> None:
        _path(directory).write_text(self.model_dump_json(indent=2) + "\n")

    def having(self, children: Iterable[Child]) -> "Record":
        return self.model_copy(update={"processes": {child.name: _recorded(child) for child in children}})

    def running(self) -> dict[str, Child]:
        found = {name: recorded.find(name) for name, recorded in self.processes.items()}
        return {name: child for name, child in found.items() if child}


async def stop_in_order(children: Mapping[str, Child]) -> None:
    """The worker first, so that it can finish what it is at; then what it works with."""
    await stop(child for name, child in children.items() if name == WORKER)
    await stop(child for name, child in children.items() if name != WORKER)


def forget(directory: Path) -> None:
    _path(directory).unlink(missing_ok=True)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One command at a time. Raises Unavailable if another is at work."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable("another devnet command is at work", remedy="wait for it, then try again") from None
        yield


def _recorded(child: Child) -> Recorded:
    return Recorded(pid=child.process.pid, started=child.started, log=child.log)


def _path(directory: Path) -> Path:
    return directory / "processes.json"
