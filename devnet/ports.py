"""Free TCP ports, and a clear word about taken ones."""

import random
import socket
from typing import Self

import psutil

from connectionchain.errors import Unavailable
from connectionchain.model import Model
from devnet.accounts import ATTESTORS

HOST = "127.0.0.1"
_RANGE = range(20_000, 32_000)  # below what Linux and macOS hand out to outgoing connections


class Ports(Model):
    """Where a devnet listens; `ui` None: no web UI. `witnesses` are the attestors', in their order."""

    temporal: int
    ui: int | None
    chains: tuple[int, ...]
    log: int
    witnesses: tuple[int, ...]

    @classmethod
    def usual(cls, chains: int) -> Self:
        """The ports everybody's tools expect, and some beside them."""
        own = range(8600, 8601 + len(ATTESTORS))
        return cls(
            temporal=7233, ui=8233, chains=tuple(range(8545, 8545 + chains)), log=own[0], witnesses=tuple(own[1:])
        )

    @classmethod
    def from_base(cls, base: int, chains: int) -> Self:
        """The ports from `base` on, in a row."""
        return cls._of(list(range(base, base + 3 + chains + len(ATTESTORS))), chains)

    @classmethod
    def free(cls, chains: int, ui: bool) -> Self:
        found = cls._of(free_ports(3 + chains + len(ATTESTORS)), chains)
        return found if ui else found.model_copy(update={"ui": None})

    @classmethod
    def _of(cls, ports: list[int], chains: int) -> Self:
        temporal, ui, *rest = ports
        log, *witnesses = rest[chains:]
        return cls(temporal=temporal, ui=ui, chains=tuple(rest[:chains]), log=log, witnesses=tuple(witnesses))


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now."""
    candidates = random.sample(_RANGE, len(_RANGE))
    free = [port for port, _ in zip(filter(is_free, candidates), range(count), strict=False)]
    assert len(free) == count
    return free


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def require_free(port: int, wanted_by: str) -> None:
    """Raises Unavailable, naming the program in the way where the system tells."""
    if not is_free(port):
        raise Unavailable(
            f"port {port} for {wanted_by} is taken{_by_whom(port)}",
            remedy="end that program, or choose other ports: make up PORT_BASE=20000",
        )


def _by_whom(port: int) -> str:
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid]
        pid = next(c.pid for c in listening if c.laddr and c.laddr.port == port)
        return f" by {psutil.Process(pid).name()} (process {pid})"
    except (psutil.Error, StopIteration):
        return ""
