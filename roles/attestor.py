"""The role of an attestor: its own key, its own nodes and its own stores; a witness of the evidence log as well."""

from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.worker import Worker

from activities.attestor import Attestor
from activities.facts import Witness
from activities.metering import MeterAttestor
from activities.orders import attestor_queue
from adapters.evm.view import EvmView
from connectionchain.errors import InvalidInput
from connectionchain.ids import ChainId
from connectionchain.network import Chain, Network
from ledger.store import check_mark, mark_of
from roles.resources import DRAIN, Resources, checked, load_key, load_seed
from roles.settings import AttestorRole
from web.roles import log_witness


async def attestor(stack: Resources, client: Client, network: Network, role: AttestorRole) -> Worker:
    views: dict[ChainId, EvmView] = {}
    for name, chain in network.chains.items():
        view = EvmView(_with_rpc(chain, role.rpc.get(name)))
        stack.push_async_callback(view.close)
        views[chain.id] = view
    key, database = load_key(role.key_file), await stack.database(role.database)
    check_mark(await mark_of(database), role.key_file.with_name(f"{role.key_file.name}.store"))
    for view in views.values():
        await checked(view, _knows_attestor(view, key.address))
    if witness := role.witness:
        seed = load_seed(witness.key_file)
        serve = log_witness(role.name, network.evidence, database, seed, witness.host, witness.port)
        await stack.enter_async_context(serve)
    decider = Attestor(key, network, Witness(views, lambda: datetime.now(UTC)), database)
    metering = MeterAttestor(key, network, views, lambda: datetime.now(UTC), database)
    return Worker(
        client,
        task_queue=attestor_queue(role.name),
        activities=[decider.attest, metering.attest_metering],
        graceful_shutdown_timeout=DRAIN,
    )


async def _knows_attestor(view: EvmView, address: str) -> None:
    if not await view.uint(view.escrow.address, "isAttestor(address)", address):
        raise InvalidInput(
            f"the escrow on {view.chain} does not know attestor {address}",
            field="key_file",
            remedy="give the attestor's own key, or have the attestor set changed",
        )


def _with_rpc(chain: Chain, rpc: tuple[str, ...] | None) -> Chain:
    return chain.model_copy(update={"rpc": rpc}) if rpc else chain
