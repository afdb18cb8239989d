"""The role of a connection node: operates on one chain, follows its blocks, keeps outbox and evidence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.anchoring import Anchorer
from activities.bookkeeper import Bookkeeper
from activities.cashier import Cashier
from activities.driver import Driver
from activities.incidents import IncidentDesk
from activities.node import ConnectionNode
from activities.orders import node_queue
from activities.reconciler import Reconciler
from activities.watch import Watcher
from adapters.evm.adapter import EvmAdapter
from adapters.evm.fees import FeePolicy
from connectionchain.errors import InvalidInput
from connectionchain.network import Network
from ledger.cursors import keep_final, last_final
from ledger.database import Database
from ledger.outbox import Outbox
from roles.resources import DRAIN, Resources, checked, load_key
from roles.settings import NodeRole, Settings

CURSOR_EVERY_S = 5
"""How often the last final block of a chain is written down."""

PENDING_OPERATIONS = 10_000
"""Ledger operations one connection node waits for at once; each is a coroutine, not a thread. Payments must find room
beside locks that payers take their time over."""


async def node(stack: Resources, client: Client, network: Network, settings: Settings, role: NodeRole) -> Worker:
    if settings.database is None:
        raise InvalidInput("a connection node needs a database", field="database", remedy="give its URL")
    config, database = network.chain(role.chain), await stack.database(settings.database)
    incidents = IncidentDesk(client, database)
    chain = EvmAdapter(config, load_key(role.key_file), FeePolicy(cap=role.fee_cap), incidents.report)
    stack.push_async_callback(chain.close)
    await checked(chain, chain.block("latest"))
    await stack.enter_async_context(chain.follower.running(await last_final(database, chain.chain)))
    await stack.enter_async_context(_keeping_cursor(chain, database))
    outbox = Outbox(database, chain.chain, chain.account)
    patience = timedelta(seconds=role.patience_blocks * config.block_time)
    driver = Driver(chain, outbox, patience)
    hands = ConnectionNode(chain, chain.escrow, outbox, driver)
    reconciler = Reconciler(chain, chain.escrow, driver, database, client)
    cashier, bookkeeper = Cashier(chain, chain.escrow, outbox, driver), Bookkeeper(chain, database)
    return Worker(
        client,
        task_queue=node_queue(chain.chain),
        activities=[
            *(hands.lock, hands.release, hands.give_back, reconciler.reconcile),
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
