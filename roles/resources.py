"""What roles open and share: databases, keys, and the first question to a chain."""

import stat
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount

from adapters.evm.view import EvmView
from connectionchain.errors import InvalidInput, Unavailable
from ledger.database import Database

DRAIN = timedelta(seconds=10)
"""On SIGTERM running activities get so long; what does not finish is taken up by the next worker."""


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


async def checked(view: EvmView, question: Awaitable[object]) -> None:
    """Refuses to start on a wrong chain, escrow or key. A chain that does not answer now is no reason not to."""
    try:
        await question
    except Unavailable as error:
        structlog.get_logger().warning("chain not checked", chain=view.chain, error=str(error))


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
