"""The composition root: settings -> the roles this process plays, at work until it is told to stop.

Run it as `python worker.py SETTINGS.json` (or with CONNECTIONCHAIN_SETTINGS set to that path).
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from connectionchain.errors import ConnectionChainError, Unavailable
from connectionchain.network import Network
from roles.attestor import attestor
from roles.contracts import contracts
from roles.liquidity import liquidity
from roles.log import log
from roles.node import node
from roles.resources import Resources
from roles.settings import Settings


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[None]:
    """Every role of `settings` at work, until the block ends; then drained and closed."""
    network = Network.load(settings.network)
    async with Resources() as stack:
        client = await _connect(network)
        workers = [
            *[await node(stack, client, network, settings, role) for role in settings.nodes],
            *[await attestor(stack, client, network, role) for role in settings.attestors],
            *([await liquidity(stack, client, network, settings.liquidity)] if settings.liquidity else []),
            *([await contracts(client, network, settings)] if settings.contracts else []),
        ]
        if settings.log:
            await log(stack, network, settings, settings.log)
        for each in workers:
            await stack.enter_async_context(each)
            structlog.get_logger().info("working", queue=each.task_queue)
        yield


async def _connect(network: Network) -> Client:
    engine = network.engine
    try:
        return await Client.connect(engine.address, namespace=engine.namespace, data_converter=pydantic_data_converter)
    except RuntimeError as error:
        raise Unavailable(f"no workflow engine at {engine.address}", field="engine", remedy="start Temporal") from error


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
