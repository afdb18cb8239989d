from pathlib import Path

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from devnet.ports import free_ports
from devnet.temporal import NAMESPACE, RETENTION, SEARCH_ATTRIBUTES, TemporalServer


async def test_server__is_set_up_on_a_new_and_on_an_existing_database(tmp_path: Path) -> None:
    [port] = free_ports(1)
    server = TemporalServer(name="temporal", log=tmp_path / "log", port=port, database=tmp_path / "temporal.db")
    for _run in range(2):
        await server.start()
        client = await Client.connect(server.address, namespace=NAMESPACE)
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=NAMESPACE))
        assert SEARCH_ATTRIBUTES.items() <= dict(listed.custom_attributes).items()
        described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
        assert described.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION
        await server.stop()
        assert not server.alive
