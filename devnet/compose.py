"""`python -m devnet.compose`: prepares what docker-compose.yml started: namespace, contracts, and each role's settings.

Each role gets a folder (a volume) of its own: no worker can read another's key or decisions.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from eth_account.signers.local import LocalAccount
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from connectionchain.ids import ChainId
from connectionchain.network import Engine, Network
from devnet.accounts import ATTESTORS, demo_accounts, demo_seed
from devnet.chains import Anvil
from devnet.deploy import deploy_network, one_currency_each
from devnet.log import evidence_log
from devnet.record import NETWORK_FILE
from devnet.settings import SETTINGS_FILE, demo_rates, key_file, seed_file
from devnet.stack import FIRST_CHAIN_ID
from devnet.temporal import NAMESPACE, RETENTION, set_up
from roles.settings import AttestorRole, LiquidityRole, LogRole, NodeRole, Settings, WitnessRole

CHAINS = ("a", "b")
LOG_KEY = "log.key"
BLOCK_TIME_SECONDS = 2
ROLES = (
    "contracts",
    *(f"node.{name}" for name in CHAINS),
    *(f"attestor.{name}" for name in ATTESTORS),
    "liquidity",
    "log",
)
EVIDENCE_PORT, EVERYWHERE = 8600, "0.0.0.0"  # noqa: S104 - of a container


async def main(roles: Path, database: str) -> None:
    """Writes `roles/<role>/` for every role; `database` is the connection nodes'."""
    keys = demo_accounts(CHAINS)
    engine = Engine(address="temporal:7233", namespace=NAMESPACE, ui="http://localhost:8080")
    await _namespace(engine)
    chains = {name: _chain(name, FIRST_CHAIN_ID + at) for at, name in enumerate(CHAINS)}
    deployed = await deploy_network(engine, chains, keys, one_currency_each(CHAINS))
    log, *witnesses = (
        f"http://{host}:{EVIDENCE_PORT}" for host in ("log", *(f"attestor.{name}" for name in ATTESTORS))
    )
    network = deployed.model_copy(update={"log": evidence_log(log, witnesses)})
    for chain in chains.values():
        await chain.close()
    write_roles(roles, network, keys, database)


def write_roles(roles: Path, network: Network, keys: Mapping[str, LocalAccount], database: str) -> None:
    """Every role's network file, settings and key, in a folder that its container sees as /role."""
    for role in ROLES:
        folder = roles / role
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NETWORK_FILE).write_text(network.model_dump_json(indent=2) + "\n")
        (folder / SETTINGS_FILE).write_text(_settings(role, network, keys, database).model_dump_json(indent=2) + "\n")
        if role in keys:
            key_file(folder, "key", keys[role])
        kind, _, name = role.partition(".")
        if kind in ("attestor", "log"):
            seed_file(folder, LOG_KEY, demo_seed(f"witness.{name}" if name else role))


def _settings(role: str, network: Network, keys: Mapping[str, LocalAccount], database: str) -> Settings:
    kind, _, name = role.partition(".")
    home = Path("/role")
    file, key, own = home / NETWORK_FILE, home / "key", f"sqlite+aiosqlite:///{home}/{kind}.db"
    if kind == "node":
        return Settings(network=file, nodes=(NodeRole(chain=name, key_file=key),), database=database)
    if kind == "attestor":
        witness = WitnessRole(key_file=home / LOG_KEY, port=EVIDENCE_PORT, host=EVERYWHERE)
        return Settings(network=file, attestors=(AttestorRole(name=name, key_file=key, database=own, witness=witness),))
    if kind == "log":
        role_ = LogRole(key_file=home / LOG_KEY, port=EVIDENCE_PORT, host=EVERYWHERE)
        return Settings(network=file, log=role_, database=database)
    if kind == "liquidity":
        address = keys[role].address
        accounts = {network.account(chain, address): key for chain in network.chains}
        desk = LiquidityRole(accounts=accounts, database=own, rates=tuple(demo_rates(network, address)))
        return Settings(network=file, liquidity=desk)
    return Settings(network=file, contracts=True)


async def _namespace(engine: Engine) -> None:
    client = await Client.connect(engine.address, namespace=engine.namespace)
    request = RegisterNamespaceRequest(namespace=engine.namespace)
    request.workflow_execution_retention_period.FromTimedelta(RETENTION)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    await _until_known(client)


async def _until_known(client: Client, attempts: int = 60) -> None:
    """A cluster takes some seconds to hear of a new namespace."""
    for _attempt in range(attempts):
        try:
            return await set_up(client)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        await asyncio.sleep(1)
    raise TimeoutError(f"namespace {client.namespace} did not appear")


def _chain(name: str, id_: int) -> Anvil:
    """The chain of a container: started by compose, so nothing of it is written here."""
    nowhere = Path(os.devnull)
    return Anvil(
        name=f"chain {name}",
        id=ChainId(f"eip155:{id_}"),
        host=f"chain-{name}",
        port=8545,
        block_time=BLOCK_TIME_SECONDS,
        log=nowhere,
        state=nowhere,
    )


if __name__ == "__main__":
    asyncio.run(main(Path("/roles"), os.environ["CONNECTIONCHAIN_DATABASE"]))
    sys.stdout.flush()
    os._exit(0)  # the engine's client may crash an interpreter that winds down
