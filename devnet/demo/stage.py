"""Where the demo plays: a devnet of its own with two chains, and the worker as a process beside it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from connectionchain.certificate import Certificate
from connectionchain.client import Client
from connectionchain.evidence import Kind
from connectionchain.network import Network
from connectionchain.rates import TASK_QUEUE as LAST_QUEUE
from devnet.binaries import CHECKOUT
from devnet.service import Command, Service
from devnet.settings import worker_settings
from devnet.stack import Devnet

BLOCK_TIME = 1.0


@dataclass(kw_only=True)
class Worker(Service):
    """`worker.py` in every role; it answers once it polls the queue it takes up last."""

    settings: Path
    client: Client

    def command(self) -> Command:
        return [sys.executable, CHECKOUT / "worker.py", self.settings]

    async def answers(self) -> bool:
        temporal = self.client.engine.temporal
        request = DescribeTaskQueueRequest(
            namespace=temporal.namespace,
            task_queue=TaskQueue(name=LAST_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        return bool((await temporal.workflow_service.describe_task_queue(request)).pollers)


@dataclass(frozen=True)
class Stage:
    """What the players need."""

    network: Network
    client: Client
    keys: dict[str, LocalAccount]

    def named(self, text: str) -> str:
        """`text` with account and chain ids as the names of the story."""
        for name, key in self.keys.items():
            for chain in self.network.chains.values():
                text = text.replace(f"{chain.id}:{key.address.lower()}", name)
        for name, chain in self.network.chains.items():
            text = text.replace(chain.id, f"chain {name}")
        return text

    def holder(self, address: str) -> str:
        return next(name for name, key in self.keys.items() if key.address.lower() == address)

    def signers(self, certificate: Certificate) -> str:
        """The names of the attestors who agreed."""
        return " and ".join(sorted(self.holder(each).removeprefix("attestor.") for each in certificate.attestors))

    def way(self, kind: str, payer: str, payee: str) -> str:
        """From where to where a step moved the money, such as `hanako → escrow`."""
        if kind == Kind.LOCKED:
            return f"{self.holder(payer)} → escrow"
        return f"escrow → {self.holder(payee if kind == Kind.RELEASED else payer)}"


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Set up on free ports; taken down with every process when the block ends, however it ends."""
    async with Devnet.temporary(chains=2, block_time=BLOCK_TIME) as net:
        settings = worker_settings(net.network, net.network_file, net.directory, net.keys)
        client = await Client.connect(net.network)
        worker = Worker(name="worker", log=net.directory / "worker.log", settings=settings, client=client)
        try:
            await worker.start()
            yield Stage(net.network, client, net.keys)
        finally:
            await worker.stop()
