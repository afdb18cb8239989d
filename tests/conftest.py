"""The real thing, once per test session: engine, three chains with their contracts, and every role at work."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from eth_account.signers.local import LocalAccount

from connectionchain import Client, Network
from devnet.settings import worker_settings
from devnet.stack import Devnet
from worker import Settings, service

BLOCK_TIME = 1.0


@dataclass
class Stack:
    """A devnet with its workers in this process, and a client to it. `keys` are the demo accounts by label."""

    devnet: Devnet
    client: Client
    settings: Settings

    @property
    def network(self) -> Network:
        return self.devnet.network

    @property
    def keys(self) -> dict[str, LocalAccount]:
        return self.devnet.keys


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    async with Devnet.temporary(chains=3, block_time=BLOCK_TIME) as devnet:
        path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
        settings = Settings.load(path)
        async with service(settings):
            yield Stack(devnet, await Client.connect(devnet.network), settings)
