"""The embedded default as a whole: Temporal, the chains with escrow and currencies, and the network file."""

import asyncio
import string
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from connectionchain.ids import ChainId
from connectionchain.network import Engine, Network
from devnet.accounts import demo_accounts
from devnet.chains import Anvil
from devnet.deploy import Currency, Deployer, deploy_network, one_currency_each
from devnet.log import evidence_log
from devnet.ports import HOST, Ports
from devnet.process import Child
from devnet.record import NETWORK_FILE, WORKER, Record, stop_in_order
from devnet.service import Service
from devnet.settings import SETTINGS_FILE, worker_settings
from devnet.temporal import NAMESPACE, TemporalServer
from devnet.work import WorkerProcess

FIRST_CHAIN_ID = 31337

Report = Callable[[str], None]


class Devnet:
    """Everything lives in `directory`. A `lasting` devnet keeps its Temporal database there and survives our process.

    After `start`: `network` as a client needs it. `keys` are the demo accounts by label (see `accounts`).
    """

    network: Network

    def __init__(
        self,
        directory: Path,
        ports: Ports,
        *,
        block_time: float | None,
        currencies: Sequence[Currency] | None = None,
        worker: bool = False,
        lasting: bool = False,
    ) -> None:
        names = tuple(string.ascii_lowercase[: len(ports.chains)])
        self.directory = directory
        self.ports = ports
        self.record = Record(ports=ports, block_time=block_time)
        self.keys = demo_accounts(names)
        self.currencies = one_currency_each(names) if currencies is None else currencies
        self.temporal = self._temporal(ports, lasting)
        self.chains = {
            name: self._chain(name, FIRST_CHAIN_ID + at, ports.chains[at], block_time, lasting)
            for at, name in enumerate(names)
        }
        self.worker = self._worker(lasting) if worker else None

    @classmethod
    @asynccontextmanager
    async def temporary(
        cls,
        chains: int = 2,
        block_time: float | None = None,
        ui: bool = False,
        worker: bool = False,
        currencies: Sequence[Currency] | None = None,
        report: Report = lambda _line: None,
    ) -> AsyncIterator[Self]:
        """A devnet on free ports that is gone afterwards, Temporal in memory. Without `block_time` each transaction
        makes a block, and nothing becomes final unless `mine` is called. `worker` starts the worker process too."""
        with tempfile.TemporaryDirectory(prefix="connectionchain-") as directory:
            ports = Ports.free(chains, ui)
            net = cls(Path(directory), ports, block_time=block_time, currencies=currencies, worker=worker)
            try:
                await net.start(report)
                yield net
            finally:
                await net.stop()

    @property
    def network_file(self) -> Path:
        return self.directory / NETWORK_FILE

    @property
    def services(self) -> list[Service]:
        return [self.temporal, *self.chains.values(), *([self.worker] if self.worker else [])]

    def chain(self, name: str) -> Anvil:
        return self.chains[name]

    def deployer(self, chain: str) -> Deployer:
        return Deployer(self.chains[chain], self.keys)

    def adopt(self, record: Record) -> None:
        """Takes over what still runs of an earlier start."""
        running = record.running()
        for service in self.services:
            service.child = running.get(service.name, service.child)

    async def start(self, report: Report = lambda _line: None) -> None:
        """Starts what does not run, deploys what is missing, writes the network file.

        If that fails, what was started is stopped again. Raises Unavailable.
        """
        before = {service.name for service in self.services if service.alive}
        try:
            await self._start([self.temporal, *self.chains.values()], report)
            report("deploying what is missing of the escrow and the currencies")
            self.network = await self._deploy()
            self.network_file.write_text(self.network.model_dump_json(indent=2) + "\n")
            if self.worker:
                self.worker.network = self.network
                worker_settings(self.network, self.network_file, self.directory, self.keys)
                await self._start([self.worker], report)
        except BaseException:
            await stop_in_order({name: child for name, child in self._children.items() if name not in before})
            raise

    async def _start(self, services: Sequence[Service], report: Report) -> None:
        for service in services:
            if not service.alive:
                report(f"starting {service.name}")
                service.spawn()
            self._write_down()
        await asyncio.gather(*(service.ready() for service in services))

    @property
    def _children(self) -> dict[str, Child]:
        return {service.name: service.child for service in self.services if service.child}

    def _write_down(self) -> None:
        self.record = self.record.having(self._children.values())
        self.record.save(self.directory)

    async def stop(self) -> None:
        """Ends every process and waits for it."""
        await self.close()
        await stop_in_order(self._children)

    async def close(self) -> None:
        """Closes our connections; the processes are left alone."""
        for chain in self.chains.values():
            await chain.close()

    async def _deploy(self) -> Network:
        engine = Engine(address=self.temporal.address, namespace=NAMESPACE, ui=self.temporal.ui)
        network = await deploy_network(engine, self.chains, self.keys, self.currencies)
        log, *witnesses = (f"http://{HOST}:{port}" for port in (self.ports.log, *self.ports.witnesses))
        return network.model_copy(update={"log": evidence_log(log, witnesses)})

    def _temporal(self, ports: Ports, lasting: bool) -> TemporalServer:
        return TemporalServer(
            name="temporal",
            log=self.directory / "temporal.log",
            port=ports.temporal,
            ui_port=ports.ui,
            database=self.directory / "temporal.db" if lasting else None,
            outlive=lasting,
        )

    def _worker(self, lasting: bool) -> WorkerProcess:
        log, settings = self.directory / "worker.log", self.directory / SETTINGS_FILE
        return WorkerProcess(name=WORKER, log=log, settings=settings, outlive=lasting)

    def _chain(self, name: str, id_: int, port: int, block_time: float | None, lasting: bool) -> Anvil:
        return Anvil(
            name=f"chain {name}",
            log=self.directory / f"chain-{name}.log",
            id=ChainId(f"eip155:{id_}"),
            port=port,
            block_time=block_time,
            state=self.directory / f"chain-{name}.json",
            outlive=lasting,
        )
