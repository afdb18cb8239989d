"""The embedded default for measuring, as in production: every role is a process of its own, with its own database."""

import re
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from activities.orders import attestor_queue, node_queue
from connectionchain.network import Network
from connectionchain.settlement import TASK_QUEUE
from devnet.ports import Ports
from devnet.record import stop_in_order
from devnet.settings import worker_settings
from devnet.stack import Devnet
from devnet.work import ACTIVITY, WORKFLOW, WorkerProcess
from roles.settings import Settings

NEVER_S = 10**6
"""The chains' states are not written down while measuring: that would take more and more of the machine."""


@dataclass(kw_only=True)
class Role(WorkerProcess):
    """The process that serves `queue`."""

    queue: str

    async def answers(self) -> bool:
        assert self.network
        engine = self.network.engine
        client = await Client.connect(engine.address, namespace=engine.namespace)
        return await self._serves(client, self.queue, WORKFLOW if self.queue == TASK_QUEUE else ACTIVITY)

    @property
    def memory(self) -> int:
        """The most it has had resident so far, in bytes (Linux)."""
        assert self.child
        status = Path(f"/proc/{self.child.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) << 10

    @property
    def seconds(self) -> float:
        """Of processor time, since it started."""
        assert self.child
        times = self.child.process.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def devnet_of_roles(block_time: float) -> AsyncIterator[tuple[Devnet, dict[str, Role]]]:
    """Two chains, their nodes, three attestors and the contracts; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="connectionchain-") as directory:
        devnet = Devnet(Path(directory), Ports.free(2, ui=False), block_time=block_time)
        for chain in devnet.chains.values():
            chain.state_interval = NEVER_S
        roles: dict[str, Role] = {}
        try:
            await devnet.start()
            path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
            for name, queue, settings in _parts(Settings.load(path), devnet.network, devnet.directory):
                roles[name] = _role(name, queue, settings, devnet)
                roles[name].spawn()
            for role in roles.values():
                await role.ready()
            yield devnet, roles
        finally:
            await stop_in_order({name: role.child for name, role in roles.items() if role.child})
            await devnet.stop()


def ledger_of(chain: str, directory: Path) -> str:
    return f"sqlite+aiosqlite:///{directory}/ledger-{chain}.db"


def _parts(whole: Settings, network: Network, directory: Path) -> Iterable[tuple[str, str, Settings]]:
    """Name, queue and settings of each process. The evidence log is kept where its records are written."""
    for n, node in enumerate(whole.nodes):
        database, log = ledger_of(node.chain, directory), None if n else whole.log
        settings = Settings(network=whole.network, nodes=(node,), database=database, log=log)
        yield f"node {node.chain}", node_queue(network.chain(node.chain).id), settings
    for attestor in whole.attestors:
        settings = Settings(network=whole.network, attestors=(attestor,))
        yield f"attestor {attestor.name}", attestor_queue(attestor.name), settings
    yield "contracts", TASK_QUEUE, Settings(network=whole.network, contracts=True)


def _role(name: str, queue: str, settings: Settings, devnet: Devnet) -> Role:
    file, log = (devnet.directory / f"{name.replace(' ', '-')}.{kind}" for kind in ("json", "log"))
    file.write_text(settings.model_dump_json())
    return Role(name=name, log=log, settings=file, network=devnet.network, queue=queue)
