"""The programs under fire: an engine on a file, three chains that keep their state, every role in its own process."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from connectionchain import Client, Network
from connectionchain.network import Finality
from devnet.accounts import ATTESTORS
from devnet.binaries import CHECKOUT
from devnet.chains import Anvil
from devnet.deploy import Currency
from devnet.ports import Ports
from devnet.service import Command, Service
from devnet.stack import Devnet
from roles.settings import AttestorRole, NodeRole, Settings
from tests.chaos.proxy import Proxy

BLOCK_TIME = 1.0
FINAL_DEPTH = 4
"""A reorganisation of FINAL_DEPTH - 1 blocks is the deepest a client has to survive; a killed chain loses fewer."""

PEOPLE = ("hanako", "bookstore", "taro", "liquidity")
WEALTH = 10**12
SPARE_URL_ON = "b"
"""The chain that every program knows a second, never troubled URL of."""


class LastingAnvil(Anvil):
    """Its state file survives SIGKILL, as any full node's does."""

    async def kill(self) -> None:
        """Between two writes of the file: half of it would be no chain any more."""
        while self.child and self.child.alive:
            self.child.process.suspend()
            if await asyncio.to_thread(self.saved_head) >= 0:
                return await super().kill()
            self.child.process.resume()
            await asyncio.sleep(0.05)

    def saved_head(self) -> int:
        """The height a SIGKILL now would throw it back to; -1 if the file is half written."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(json.loads(self.state.read_bytes())["best_block_number"])
        return -1

    async def settle(self, blocks: int = 0) -> None:
        """Waits until the newest block and `blocks` more are saved: what was done before can no longer be undone."""
        target = await self.quantity("eth_blockNumber") + blocks
        while await asyncio.to_thread(self.saved_head) < target:  # noqa: ASYNC110
            await asyncio.sleep(0.3)


@dataclass(kw_only=True)
class Worker(Service):
    """A worker process. `extra` is added to its environment at the next start."""

    settings: Path
    roles: int
    extra: dict[str, str] = field(default_factory=dict)
    _read: int = 0

    def spawn(self) -> None:
        self._read = self.log.stat().st_size if self.log.exists() else 0
        super().spawn()

    def command(self) -> Command:
        return [sys.executable, CHECKOUT / "worker.py", self.settings]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.extra}

    async def answers(self) -> bool:
        """Once it has logged that it works on each of its queues."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            return log.read().count(b'"event": "working"') >= self.roles


@dataclass
class World:
    """What faults strike and deals run on. `locks` keep two faults from taking the same program apart at once."""

    directory: Path
    devnet: Devnet
    proxy: Proxy
    client: Client
    nodes: dict[str, Worker]
    attestors: dict[str, Worker]
    ledger: str
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        return self.devnet.network

    @property
    def workers(self) -> dict[str, Worker]:
        return self.nodes | self.attestors

    @property
    def services(self) -> dict[str, Service]:
        return {each.name: each for each in [*self.devnet.services, *self.workers.values()]}

    def chain(self, name: str) -> LastingAnvil:
        chain = self.devnet.chains[name]
        assert isinstance(chain, LastingAnvil)
        return chain

    def lock(self, name: str) -> asyncio.Lock:
        return self.locks.setdefault(name, asyncio.Lock())

    def routes(self, chain: str) -> list[str]:
        """Every program's first URL of this chain."""
        return [f"{program}/{chain}" for program in self.workers]


@asynccontextmanager
async def world(
    directory: Path,
    chains: int = 3,
    node_processes: int = 1,
    postgres: str | None = None,
    block_time: float = BLOCK_TIME,
) -> AsyncIterator[World]:
    """Everything at work. With a PostgreSQL URL several processes share the connection nodes' lanes."""
    async with AsyncExitStack() as stack:
        devnet = _devnet(directory, chains, block_time)
        stack.push_async_callback(devnet.stop)
        await devnet.start()
        devnet.network = _shallow(devnet.network)
        proxy = await stack.enter_async_context(
            Proxy({name: each.url for name, each in devnet.chains.items()}).running()
        )
        ledger = postgres or f"sqlite+aiosqlite:///{directory / 'ledger.db'}"
        builder = _Builder(directory, devnet, proxy, ledger)
        nodes = {each.name: each for each in (builder.node(f"nodes{n}") for n in range(1, node_processes + 1))}
        attestors = {name: builder.attestor(name) for name in ATTESTORS}
        made = World(directory, devnet, proxy, await Client.connect(devnet.network), nodes, attestors, ledger)
        stack.push_async_callback(_stop_all, made.workers)
        await asyncio.gather(*(each.start() for each in made.workers.values()))
        yield made


async def _stop_all(workers: Mapping[str, Worker]) -> None:
    await asyncio.gather(*(each.kill() for each in workers.values()))


def _devnet(directory: Path, chains: int, block_time: float) -> Devnet:
    names = "abc"[:chains]
    currencies = [Currency(n.upper(), n, f"Currency {n.upper()}", holders=PEOPLE, supply=WEALTH) for n in names]
    devnet = Devnet(directory, Ports.free(chains, ui=False), block_time=block_time, currencies=currencies, lasting=True)
    devnet.temporal.outlive = False
    devnet.chains = {
        name: LastingAnvil(
            name=each.name, log=each.log, id=each.id, port=each.port, block_time=each.block_time, state=each.state
        )
        for name, each in devnet.chains.items()
    }
    return devnet


def _shallow(network: Network) -> Network:
    finality = Finality(policy="depth", depth=FINAL_DEPTH)
    chains = {name: each.model_copy(update={"finality": finality}) for name, each in network.chains.items()}
    return network.model_copy(update={"chains": chains})


@dataclass
class _Builder:
    """Writes each process its own network file, settings and keys."""

    directory: Path
    devnet: Devnet
    proxy: Proxy
    ledger: str

    def node(self, name: str) -> Worker:
        nodes = tuple(NodeRole(chain=chain, key_file=self._key(f"node.{chain}")) for chain in self.devnet.chains)
        settings = Settings(
            network=self._network(name), contracts=True, nodes=nodes, database=self.ledger, reconcile_minutes=1
        )
        return self._worker(name, settings, 1 + len(nodes))

    def attestor(self, name: str) -> Worker:
        database = f"sqlite+aiosqlite:///{self.directory / f'attestor-{name}.db'}"
        role = AttestorRole(name=name, key_file=self._key(f"attestor.{name}"), database=database)
        return self._worker(name, Settings(network=self._network(name), attestors=(role,)), 1)

    def _worker(self, name: str, settings: Settings, roles: int) -> Worker:
        path = self.directory / f"{name}.settings.json"
        path.write_text(settings.model_dump_json(indent=2))
        return Worker(name=name, log=self.directory / f"{name}.log", settings=path, roles=roles)

    def _network(self, program: str) -> Path:
        chains = {
            chain: each.model_copy(update={"rpc": self._urls(program, chain)})
            for chain, each in self.devnet.network.chains.items()
        }
        path = self.directory / f"{program}.network.json"
        path.write_text(self.devnet.network.model_copy(update={"chains": chains}).model_dump_json(indent=2))
        return path

    def _urls(self, program: str, chain: str) -> tuple[str, ...]:
        spare = (self.proxy.url(f"{program}/{chain}/spare"),) if chain == SPARE_URL_ON else ()
        return (self.proxy.url(f"{program}/{chain}"), *spare)

    def _key(self, label: str) -> Path:
        path = self.directory / "keys" / label
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text("0x" + bytes(self.devnet.keys[label].key).hex() + "\n")
        return path
