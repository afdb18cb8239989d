"""What every program of the devnet has in common: a command, ports, and a way to tell that it answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from devnet.ports import require_free
from devnet.process import Child, kill, spawn, stop, until_ready

Command = list[str | Path]


@dataclass(kw_only=True)
class Service(ABC):
    """One program and the process behind it, if any. `outlive` lets the process survive ours."""

    name: str
    log: Path
    outlive: bool = False
    child: Child | None = None

    @abstractmethod
    def command(self) -> Command: ...

    @abstractmethod
    async def answers(self) -> bool:
        """Whether it is ready to serve."""

    def environment(self) -> dict[str, str] | None:
        """The process's environment; None means ours."""
        return None

    def listens_on(self) -> tuple[int, ...]:
        return ()

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.alive

    async def start(self) -> None:
        """Spawns it and waits until it answers; also after `kill`. Raises Unavailable if it cannot start."""
        self.spawn()
        await self.ready()

    def spawn(self) -> None:
        for port in self.listens_on():
            require_free(port, self.name)
        self.child = spawn(self.name, self.command(), self.log, outlive=self.outlive, env=self.environment())

    async def ready(self) -> None:
        assert self.child
        await until_ready(self.child, self.answers)

    async def stop(self) -> None:
        """Ends the process in order."""
        await stop([self.child] if self.child else [])

    async def kill(self) -> None:
        """SIGKILL: what a crash looks like. `start` brings it back."""
        await kill([self.child] if self.child else [])
