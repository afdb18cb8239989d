"""docker-compose.yml and Dockerfile against the code they start: there is no Docker daemon where the tests run."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from activities.orders import attestor_queue, node_queue
from connectionchain.rates import TASK_QUEUE as DESK_QUEUE
from connectionchain.settlement import TASK_QUEUE
from devnet.binaries import CHECKOUT
from devnet.compose import ROLES, write_roles
from devnet.stack import Devnet
from devnet.work import queues
from roles.settings import Settings


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (CHECKOUT / "Dockerfile").read_text()


def test_every_role__is_a_service_with_a_volume_of_its_own(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() >= set(ROLES)
    for role in ROLES:
        assert services[role]["volumes"] == [f"{role}:/role"]
    assert services["setup"]["volumes"] == [f"{role}:/roles/{role}" for role in ROLES]
    assert compose["volumes"].keys() >= set(ROLES)


def test_references__name_something_that_exists(compose: dict[str, Any], dockerfile: str) -> None:
    for service in compose["services"].values():
        assert compose["services"].keys() >= set(service.get("depends_on", {}))
        assert compose["configs"].keys() >= {config["source"] for config in service.get("configs", [])}
    assert importlib.util.find_spec(compose["services"]["setup"]["command"][-1])
    for sources in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
        assert all((CHECKOUT / source).exists() for source in sources.split()), sources


async def test_settings__give_every_queue_to_exactly_one_role(tmp_path: Path, dockerfile: str) -> None:
    async with Devnet.temporary(chains=2) as net:
        network, keys = net.network, net.keys
    write_roles(tmp_path, network, keys, "postgresql+psycopg://ledger@postgres/ledger")
    [path] = re.findall(r"CONNECTIONCHAIN_SETTINGS=/role/(\S+)", dockerfile)
    served = []
    for role in ROLES:
        settings = Settings.load(tmp_path / role / path)
        served += [TASK_QUEUE] * settings.contracts + [DESK_QUEUE] * bool(settings.liquidity)
        served += [node_queue(network.chain(node.chain).id) for node in settings.nodes]
        served += [attestor_queue(attestor.name) for attestor in settings.attestors]
        assert (tmp_path / role / "key").exists() == (role not in ("contracts", "log"))
        assert (tmp_path / role / "log.key").exists() == role.startswith(("attestor", "log"))
    assert sorted(served) == sorted(name for name, _kind in queues(network))
