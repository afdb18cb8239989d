"""Temporal's dev server as ConnectionChain needs it: WAL, quick task queues, search attributes, long retention."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from devnet import binaries
from devnet.ports import HOST, is_listening
from devnet.service import Command, Service

NAMESPACE = "connectionchain"
RETENTION = timedelta(days=30)
SEARCH_ATTRIBUTES = {
    "DealState": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "DealParties": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "DealChains": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "DealDeadline": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}
DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=1000",  # the default hands out a task every 50 ms
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",  # report a stuck workflow at once
)


@dataclass(kw_only=True)
class TemporalServer(Service):
    """In memory unless there is a `database` file; without web UI unless there is a `ui_port`."""

    port: int
    ui_port: int | None = None
    database: Path | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def ui(self) -> str | None:
        return f"http://{HOST}:{self.ui_port}" if self.ui_port else None

    async def answers(self) -> bool:
        """Once its namespace is set up."""
        if not is_listening(self.port):
            return False
        try:
            await set_up(await Client.connect(self.address, namespace=NAMESPACE))
        except (RPCError, RuntimeError):  # it listens before it serves
            return False
        return True

    def listens_on(self) -> tuple[int, ...]:
        return (self.port, self.ui_port) if self.ui_port else (self.port,)

    def command(self) -> Command:
        command: Command = [binaries.temporal(), "server", "start-dev", "--ip", HOST, "--port", str(self.port)]
        command += ["--namespace", NAMESPACE, "--log-level", "warn"]
        command += ["--ui-port", str(self.ui_port)] if self.ui_port else ["--headless"]
        for setting in DYNAMIC_CONFIG:
            command += ["--dynamic-config-value", setting]
        if self.database:
            command += ["--db-filename", self.database]
            command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"]
        return command


async def set_up(client: Client) -> None:
    """Search attributes and retention of the client's namespace, whatever is there already.

    Not by the server's flags: they do nothing for an existing database.
    """
    namespace = client.namespace
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    missing = {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in listed.custom_attributes}
    if missing:
        request = AddSearchAttributesRequest(namespace=namespace, search_attributes=missing)
        await client.operator_service.add_search_attributes(request)
    config = NamespaceConfig()
    config.workflow_execution_retention_ttl.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=namespace, config=config))
