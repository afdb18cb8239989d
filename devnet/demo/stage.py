"""Where the demo plays: a devnet of its own with two chains, and the worker as a process beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from connectionchain.certificate import Certificate
from connectionchain.client import Client
from connectionchain.evidence import Kind
from connectionchain.network import Network
from devnet.stack import Devnet, Report

BLOCK_TIME = 1.0


@dataclass(frozen=True)
class Stage:
    """What the players need."""

    network: Network
    client: Client
    keys: dict[str, LocalAccount]

    def named(self, text: str) -> str:
        """`text` with account and chain ids as the names of the story."""
        for name, key in self.keys.items():
            for chain in self.network.chains.values():
                text = text.replace(f"{chain.id}:{key.address.lower()}", name)
        for name, chain in self.network.chains.items():
            text = text.replace(chain.id, f"chain {name}")
        return text

    def holder(self, address: str) -> str:
        return next(name for name, key in self.keys.items() if key.address.lower() == address)

    def signers(self, certificate: Certificate) -> str:
        """The names of the attestors who agreed."""
        return " and ".join(sorted(self.holder(each).removeprefix("attestor.") for each in certificate.attestors))

    def way(self, kind: str, payer: str, payee: str) -> str:
        """From where to where a step moved the money, such as `hanako → escrow`."""
        if kind == Kind.LOCKED:
            return f"{self.holder(payer)} → escrow"
        return f"escrow → {self.holder(payee if kind == Kind.RELEASED else payer)}"


@asynccontextmanager
async def stage(report: Report) -> AsyncIterator[Stage]:
    """Set up on free ports; taken down with every process when the block ends, however it ends."""
    async with Devnet.temporary(chains=2, block_time=BLOCK_TIME, worker=True, report=report) as net:
        yield Stage(net.network, await Client.connect(net.network), net.keys)
