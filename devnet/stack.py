"""The embedded default as a whole: Temporal, the chains with escrow and currencies, and the network file."""

import asyncio
import string
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from connectionchain.ids import ChainId
from connectionchain.network import Chain, Engine, Network, Token
from devnet.accounts import PEOPLE, demo_accounts
from devnet.chains import Anvil
from devnet.deploy import Currency, Deployer, attestors
from devnet.ports import Ports
from devnet.process import stop
from devnet.record import Record
from devnet.service import Service
from devnet.temporal import NAMESPACE, TemporalServer

FIRST_CHAIN_ID = 31337
NETWORK_FILE = "connectionchain.json"
AUTOMINE_POLL_SECONDS = 0.1

Report = Callable[[str], None]


def one_currency_each(chains: Sequence[str]) -> list[Currency]:
    """`A` on chain `a`, `B` on `b`, …: each held by one person who has none of the others, and by the liquidity."""
    return [
        Currency(chain.upper(), chain, f"Regional Currency {chain.upper()}", holders=(person, "liquidity"))
        for chain, person in zip(chains, PEOPLE, strict=False)
    ]


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
        lasting: bool = False,
    ) -> None:
        names = tuple(string.ascii_lowercase[: len(ports.chains)])
        self.directory = directory
        self.record = Record(ports=ports, block_time=block_time)
        self.keys = demo_accounts(names)
        self.currencies = one_currency_each(names) if currencies is None else currencies
        self.temporal = self._temporal(ports, lasting)
        self.chains = {
            name: self._chain(name, FIRST_CHAIN_ID + at, ports.chains[at], block_time, lasting)
            for at, name in enumerate(names)
        }

    @classmethod
    @asynccontextmanager
    async def temporary(
        cls,
        chains: int = 2,
        block_time: float | None = None,
        ui: bool = False,
        currencies: Sequence[Currency] | None = None,
    ) -> AsyncIterator[Self]:
        """A devnet on free ports that is gone afterwards, Temporal in memory. Without `block_time` each transaction
        makes a block, and nothing becomes final unless `mine` is called."""
        with tempfile.TemporaryDirectory(prefix="connectionchain-") as directory:
            net = cls(Path(directory), Ports.free(chains, ui), block_time=block_time, currencies=currencies)
            try:
                await net.start()
                yield net
            finally:
                await net.stop()

    @property
    def network_file(self) -> Path:
        return self.directory / NETWORK_FILE

    @property
    def services(self) -> list[Service]:
        return [self.temporal, *self.chains.values()]

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
        idle = [service for service in self.services if not service.alive]
        self._write_down()
        try:
            await self._start(idle, report)
        except BaseException:
            await stop(service.child for service in idle if service.child)
            raise

    async def _start(self, idle: list[Service], report: Report) -> None:
        for service in idle:
            report(f"starting {service.name}")
            service.spawn()
            self._write_down()
        await asyncio.gather(*(service.ready() for service in self.services))
        report("deploying the escrow and the currencies")
        self.network = await self._deploy()
        self.network_file.write_text(self.network.model_dump_json(indent=2) + "\n")

    def _write_down(self) -> None:
        self.record = self.record.having(service.child for service in self.services if service.child)
        self.record.save(self.directory)

    async def stop(self) -> None:
        """Ends every process and waits for it."""
        await self.close()
        await stop(service.child for service in self.services if service.child)

    async def close(self) -> None:
        """Closes our connections; the processes are left alone."""
        for chain in self.chains.values():
            await chain.close()

    async def _deploy(self) -> Network:
        deployed = await asyncio.gather(*(self._deploy_to(name) for name in self.chains))
        return Network(
            engine=Engine(address=self.temporal.address, namespace=NAMESPACE, ui=self.temporal.ui),
            chains={name: chain for name, (chain, _) in zip(self.chains, deployed, strict=True)},
            tokens={symbol: token for _, tokens in deployed for symbol, token in tokens.items()},
            attestors=attestors(self.keys),
        )

    async def _deploy_to(self, name: str) -> tuple[Chain, dict[str, Token]]:
        block_time = self.chains[name].block_time or AUTOMINE_POLL_SECONDS
        currencies = [each for each in self.currencies if each.chain == name]
        return await self.deployer(name).deploy(block_time, currencies)

    def _temporal(self, ports: Ports, lasting: bool) -> TemporalServer:
        return TemporalServer(
            name="temporal",
            log=self.directory / "temporal.log",
            port=ports.temporal,
            ui_port=ports.ui,
            database=self.directory / "temporal.db" if lasting else None,
            outlive=lasting,
        )

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
