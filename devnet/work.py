"""The worker process of the embedded default: every role in one."""

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.orders import attestor_queue, node_queue
from connectionchain.network import Network
from connectionchain.rates import TASK_QUEUE as DESK_QUEUE
from connectionchain.settlement import TASK_QUEUE
from devnet.binaries import CHECKOUT
from devnet.service import Command, Service

WORKFLOW, ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


@dataclass(kw_only=True)
class WorkerProcess(Service):
    """`network` and `settings`, its settings file, may come to be after this object, but before its start."""

    settings: Path
    network: Network | None = None

    def command(self) -> Command:
        return [sys.executable, CHECKOUT / "worker.py", self.settings]

    async def answers(self) -> bool:
        """Once it asks for work on every queue."""
        assert self.network
        engine = self.network.engine
        client = await Client.connect(engine.address, namespace=engine.namespace)
        return all([await self._serves(client, name, kind) for name, kind in queues(self.network)])

    async def _serves(self, client: Client, queue: str, kind: TaskQueueType.ValueType) -> bool:
        """Whether this very process polls: the engine remembers dead ones for minutes."""
        assert self.child
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        try:
            described = await client.workflow_service.describe_task_queue(request)
        except RPCError:
            return False
        return f"{self.child.process.pid}@{socket.gethostname()}" in {poller.identity for poller in described.pollers}


def queues(network: Network) -> list[tuple[str, TaskQueueType.ValueType]]:
    """Every task queue of a network with what is asked for on it."""
    nodes = [node_queue(chain.id) for chain in network.chains.values()]
    attestors = [attestor_queue(name) for name in network.attestors.members]
    return [(TASK_QUEUE, WORKFLOW), *((name, ACTIVITY) for name in [*nodes, *attestors, DESK_QUEUE])]
