"""The composition root: settings -> adapters -> activities -> workers, one for each role this process plays.

Run it as `python worker.py SETTINGS.json` (or with CONNECTIONCHAIN_SETTINGS set to that path).
"""

import asyncio
import logging
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount
from pydantic import Field, ValidationError
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion, WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.accounts import AccountDesk
from activities.anchoring import Anchorer
from activities.attestor import Attestor
from activities.bookkeeper import Bookkeeper
from activities.cashier import Cashier
from activities.driver import Driver
from activities.facts import Witness
from activities.incidents import IncidentDesk
from activities.liquidity import LiquidityDesk
from activities.metering import MeterAttestor
from activities.node import ConnectionNode
from activities.orders import attestor_queue, node_queue
from activities.reconciler import Reconciler
from activities.watch import Watcher
from adapters.evm.adapter import EvmAdapter
from adapters.evm.fees import FeePolicy
from adapters.evm.view import EvmView
from connectionchain.errors import ConnectionChainError, InvalidInput, Unavailable
from connectionchain.ids import AccountId, ChainId
from connectionchain.model import Model
from connectionchain.network import Chain, Network
from connectionchain.rates import TASK_QUEUE as DESK_QUEUE
from connectionchain.rates import Rate
from connectionchain.reconciliation import SCHEDULE as RECONCILIATION_SCHEDULE
from connectionchain.settlement import TASK_QUEUE
from ledger.accounts import AccountBook
from ledger.cursors import keep_final, last_final
from ledger.database import Database
from ledger.liquidity import LiquidityBook
from ledger.outbox import Outbox
from ledger.store import check_mark, mark_of
from web.roles import evidence_log, log_witness
from workflows.anchoring import SCHEDULE as ANCHORING_SCHEDULE
from workflows.anchoring import Anchoring
from workflows.billing import Billing
from workflows.reconciliation import Reconciliation
from workflows.settlement import Settlement
from workflows.watch import ChainWatch, watch_id

DEPLOYMENT = "connectionchain"
"""The name under which the engine knows the builds of the contracts' workers."""

DRAIN = timedelta(seconds=10)
"""On SIGTERM running activities get so long; what does not finish is taken up by the next worker."""

CURSOR_EVERY_S = 5
"""How often the last final block of a chain is written down."""

PENDING_OPERATIONS = 1000
"""Ledger operations one connection node waits for at once; each is a coroutine, not a thread."""


class NodeRole(Model):
    """The connection node of the chain with this short name; its key pays the fees there, at most `fee_cap` wei
    per gas. A transaction that is not included within `patience_blocks` block times gets a higher fee."""

    chain: str
    key_file: Path
    fee_cap: int = Field(default=FeePolicy().cap, gt=0)
    patience_blocks: int = Field(default=6, ge=1)


class LogRole(Model):
    """The evidence log: its Ed25519 key, which signs checkpoints, and where it is served."""

    key_file: Path
    port: int
    host: str = "127.0.0.1"


class WitnessRole(Model):
    """An attestor's second duty: to cosign the evidence log's checkpoints, with an Ed25519 key for that alone."""

    key_file: Path
    port: int
    host: str = "127.0.0.1"


class AttestorRole(Model):
    """One attestor: its key, its own decision store, and its own nodes (chain short name -> URLs)."""

    name: str
    key_file: Path
    database: str
    rpc: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    witness: WitnessRole | None = None


class LiquidityRole(Model):
    """The liquidity desk: a key for each account it lends from, its book, and the rates it offers."""

    accounts: dict[AccountId, Path]
    database: str
    rates: tuple[Rate, ...] = ()


class Settings(Model):
    """What one process does. In production each role runs in a process, and a place, of its own."""

    network: Path
    contracts: bool = False
    build_id: str | None = Field(default=None, description="see docs/operations/upgrades.md; unversioned without it")
    reconcile_minutes: int = Field(default=10, ge=1)
    anchor_minutes: int = Field(default=60, ge=1)
    nodes: tuple[NodeRole, ...] = ()
    database: str | None = Field(default=None, description="outbox and evidence of the connection nodes")
    log: LogRole | None = None
    attestors: tuple[AttestorRole, ...] = ()
    liquidity: LiquidityRole | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InvalidInput(str(error), field="settings", remedy="see docs/configuration.md") from error
        except ValidationError as error:
            raise InvalidInput.of(error) from error


class Resources(AsyncExitStack):
    """What a process has opened, each database once however many roles share it; all closed at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._databases: dict[str, Database] = {}

    async def database(self, url: str) -> Database:
        if url not in self._databases:
            self._databases[url] = Database(url)
            self.push_async_callback(self._databases[url].close)
            await self._databases[url].create()
        return self._databases[url]


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[None]:
    """Every role of `settings` at work, until the block ends; then drained and closed."""
    network = Network.load(settings.network)
    async with Resources() as stack:
        client = await _connect(network)
        workers = [
            *([_contracts(client, settings)] if settings.contracts else []),
            *[await _node(stack, client, network, settings, role) for role in settings.nodes],
            *[await _attestor(stack, client, network, role) for role in settings.attestors],
            *([await _desk(stack, client, network, settings.liquidity)] if settings.liquidity else []),
        ]
        if settings.contracts:
            await _schedule_all(client, network, settings)
            await _watch_chains(client, network)
        if settings.log:
            await _log(stack, network, settings, settings.log)
        for each in workers:
            await stack.enter_async_context(each)
            structlog.get_logger().info("working", queue=each.task_queue)
        yield


def _contracts(client: Client, settings: Settings) -> Worker:
    """The extended smart contracts. With a build id running deals move on to the build that is made current."""
    version = WorkerDeploymentVersion(DEPLOYMENT, settings.build_id or "")
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Settlement, Billing, ChainWatch, Reconciliation, Anchoring],
        deployment_config=WorkerDeploymentConfig(
            version=version,
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
        if settings.build_id
        else None,
        graceful_shutdown_timeout=DRAIN,
    )


async def _connect(network: Network) -> Client:
    engine = network.engine
    try:
        return await Client.connect(engine.address, namespace=engine.namespace, data_converter=pydantic_data_converter)
    except RuntimeError as error:
        raise Unavailable(f"no workflow engine at {engine.address}", field="engine", remedy="start Temporal") from error


async def _node(stack: Resources, client: Client, network: Network, settings: Settings, role: NodeRole) -> Worker:
    if settings.database is None:
        raise InvalidInput("a connection node needs a database", field="database", remedy="give its URL")
    config, database = network.chain(role.chain), await stack.database(settings.database)
    incidents = IncidentDesk(client, database)
    chain = EvmAdapter(config, load_key(role.key_file), FeePolicy(cap=role.fee_cap), incidents.report)
    stack.push_async_callback(chain.close)
    await _check(chain, chain.block("latest"))
    await stack.enter_async_context(chain.follower.running(await last_final(database, chain.chain)))
    await stack.enter_async_context(_keeping_cursor(chain, database))
    outbox = Outbox(database, chain.chain, chain.account)
    patience = timedelta(seconds=role.patience_blocks * config.block_time)
    driver = Driver(chain, outbox, patience)
    node = ConnectionNode(chain, chain.escrow, outbox, driver)
    reconciler = Reconciler(chain, chain.escrow, driver, database, client)
    cashier, bookkeeper = Cashier(chain, chain.escrow, outbox, driver), Bookkeeper(database)
    return Worker(
        client,
        task_queue=node_queue(chain.chain),
        activities=[
            *(node.lock, node.release, node.give_back, reconciler.reconcile),
            *(cashier.lock_entry, cashier.meter, cashier.reclaim_entry, cashier.check),
            *(bookkeeper.subscribe, bookkeeper.unsubscribe, bookkeeper.reckon, bookkeeper.hold, bookkeeper.uses),
            Watcher(chain, database, client).watch,
            *_anchoring(network, chain, outbox, driver),
        ],
        max_concurrent_activities=PENDING_OPERATIONS,
        graceful_shutdown_timeout=DRAIN,
    )


def _anchoring(network: Network, chain: EvmAdapter, outbox: Outbox, driver: Driver) -> list[Callable[..., Any]]:
    if network.log is None:
        return []
    anchorer = Anchorer(chain, outbox, driver, network.log)
    return [anchorer.newest_checkpoint, anchorer.anchor]


async def _log(stack: Resources, network: Network, settings: Settings, role: LogRole) -> None:
    if settings.database is None:
        raise InvalidInput("the evidence log needs a database", field="database", remedy="give its URL")
    database, key = await stack.database(settings.database), load_seed(role.key_file)
    await stack.enter_async_context(evidence_log(network.evidence, database, key, role.host, role.port))


@asynccontextmanager
async def _keeping_cursor(chain: EvmAdapter, database: Database) -> AsyncIterator[None]:
    """Remembers how far the chain was final, so that the next process notices if that has changed meanwhile."""

    async def keep() -> None:
        kept = None
        while True:
            if chain.follower.final and chain.follower.final != kept:
                kept = chain.follower.final
                await keep_final(database, chain.chain, kept)
            await asyncio.sleep(CURSOR_EVERY_S)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _schedule_all(client: Client, network: Network, settings: Settings) -> None:
    chains = [chain.id for chain in network.chains.values()]
    await _schedule(client, RECONCILIATION_SCHEDULE, Reconciliation.run, chains, settings.reconcile_minutes)
    if anchored := [chain.id for chain in network.chains.values() if network.log and chain.anchor_address]:
        await _schedule(client, ANCHORING_SCHEDULE, Anchoring.run, anchored, settings.anchor_minutes)


async def _schedule(
    client: Client, name: str, workflow: Callable[..., Awaitable[Any]], chains: list[ChainId], minutes: int
) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(workflow, chains, id=name, task_queue=TASK_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=minutes))]),
    )
    try:
        await client.create_schedule(name, schedule)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(name)
        await handle.update(lambda _: ScheduleUpdate(schedule=schedule))


async def _watch_chains(client: Client, network: Network) -> None:
    """One watch for each chain, whoever starts it first."""
    for chain in network.chains.values():
        await client.start_workflow(
            ChainWatch.run,
            chain.id,
            id=watch_id(chain.id),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )


async def _attestor(stack: Resources, client: Client, network: Network, role: AttestorRole) -> Worker:
    views: dict[ChainId, EvmView] = {}
    for name, chain in network.chains.items():
        view = EvmView(_with_rpc(chain, role.rpc.get(name)))
        stack.push_async_callback(view.close)
        views[chain.id] = view
    key, database = load_key(role.key_file), await stack.database(role.database)
    check_mark(await mark_of(database), role.key_file.with_name(f"{role.key_file.name}.store"))
    for view in views.values():
        await _check(view, _knows_attestor(view, key.address))
    if witness := role.witness:
        seed = load_seed(witness.key_file)
        serve = log_witness(role.name, network.evidence, database, seed, witness.host, witness.port)
        await stack.enter_async_context(serve)
    attestor = Attestor(key, network, Witness(views, lambda: datetime.now(UTC)), database)
    metering = MeterAttestor(key, network, views, lambda: datetime.now(UTC), database)
    return Worker(
        client,
        task_queue=attestor_queue(role.name),
        activities=[attestor.attest, metering.attest_metering],
        graceful_shutdown_timeout=DRAIN,
    )


async def _check(view: EvmView, question: Awaitable[object]) -> None:
    """Refuses to start on a wrong chain, escrow or key. A chain that does not answer now is no reason not to."""
    try:
        await question
    except Unavailable as error:
        structlog.get_logger().warning("chain not checked", chain=view.chain, error=str(error))


async def _knows_attestor(view: EvmView, address: str) -> None:
    if not await view.uint(view.escrow.address, "isAttestor(address)", address):
        raise InvalidInput(
            f"the escrow on {view.chain} does not know attestor {address}",
            field="key_file",
            remedy="give the attestor's own key, or have the attestor set changed",
        )


async def _desk(stack: Resources, client: Client, network: Network, role: LiquidityRole) -> Worker:
    database = await stack.database(role.database)
    book, accounts = LiquidityBook(database), AccountDesk(AccountBook(database))
    known = {rate.name for rate in await book.rates()}
    for rate in role.rates:
        await (book.replace(rate) if rate.name in known else book.register(rate))
    keys = {account: load_key(path) for account, path in role.accounts.items()}
    desk = LiquidityDesk(book, network, keys, lambda: datetime.now(UTC))
    return Worker(
        client,
        task_queue=DESK_QUEUE,
        activities=[
            *(desk.rates, desk.quote, desk.authorize),
            *(accounts.register, accounts.update, accounts.delete, accounts.of),
        ],
        graceful_shutdown_timeout=DRAIN,
    )


def _with_rpc(chain: Chain, rpc: tuple[str, ...] | None) -> Chain:
    return chain.model_copy(update={"rpc": rpc}) if rpc else chain


def load_key(path: Path) -> LocalAccount:
    """A chain's private key in hex from a file that only its owner can read."""
    key: LocalAccount = Account.from_key(_secret(path))
    return key


def load_seed(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key (the 32-byte seed of RFC 8032) from such a file."""
    return Ed25519PrivateKey.from_private_bytes(_secret(path))


def _secret(path: Path) -> bytes:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput("others can read this key", field=str(path), remedy=f"run `chmod 600 {path}`")
        secret = bytes.fromhex(path.read_text().strip().removeprefix("0x"))
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", field=str(path)) from error
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise InvalidInput("holds no private key", field=str(path), remedy="0x and 64 hex digits")
    return secret


def configure_logging() -> None:
    """One JSON line an event, ours and the engine SDK's alike, on standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


async def main(path: Path) -> None:
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    async with service(Settings.load(path)):
        await stopping.wait()


if __name__ == "__main__":
    configure_logging()
    try:
        asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CONNECTIONCHAIN_SETTINGS", ""))))
    except ConnectionChainError as error:
        sys.exit(f"worker: {error}")
