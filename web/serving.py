"""An application served by this process, beside its other work."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from connectionchain.errors import Unavailable

DRAIN_SECONDS = 2


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process has its own way to end."""
        yield


@asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[None]:
    """Serves until the block ends. Raises Unavailable if the port is taken."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=DRAIN_SECONDS
    )
    server = _Server(config)
    with _bound(host, port) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await task


def _bound(host: str, port: int) -> socket.socket:
    """Listens at once, so that nobody is refused while the server starts."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}", field="port") from error
