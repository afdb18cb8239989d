"""The role of the liquidity desk, which also keeps the users' account book."""

from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.worker import Worker

from activities.accounts import AccountDesk
from activities.liquidity import LiquidityDesk
from connectionchain.network import Network
from connectionchain.rates import TASK_QUEUE
from ledger.accounts import AccountBook
from ledger.liquidity import LiquidityBook
from roles.resources import DRAIN, Resources, load_key
from roles.settings import LiquidityRole


async def liquidity(stack: Resources, client: Client, network: Network, role: LiquidityRole) -> Worker:
    database = await stack.database(role.database)
    book, accounts = LiquidityBook(database), AccountDesk(AccountBook(database))
    known = {rate.name for rate in await book.rates()}
    for rate in role.rates:
        await (book.replace(rate) if rate.name in known else book.register(rate))
    keys = {account: load_key(path) for account, path in role.accounts.items()}
    desk = LiquidityDesk(book, network, keys, lambda: datetime.now(UTC))
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        activities=[
            *(desk.rates, desk.quote, desk.authorize),
            *(accounts.register, accounts.update, accounts.delete, accounts.of),
        ],
        graceful_shutdown_timeout=DRAIN,
    )
