"""The real thing, once per test session: engine, three chains with their contracts, and every role at work.

`scene` gives each test people with money of their own, so that tests do not disturb each other's balances.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from hypothesis import settings
from temporalio.client import WorkflowHandle

from connectionchain import AccountId, Client, Deal, Explanation, Leg, Network, State
from connectionchain.client.checks import balance
from connectionchain.client.signing import authorizations
from connectionchain.escrow import Terms
from connectionchain.rpc import Rpc
from connectionchain.settlement import LegAuthorization, SettlementStart
from devnet.settings import worker_settings
from devnet.stack import Devnet
from roles.settings import Settings
from tests.transactions import transact
from worker import service

settings.register_profile("ours", deadline=None)  # how long a case takes says more of the machine than of the code
settings.load_profile("ours")

BLOCK_TIME = 0.25
WEALTH = 1_000_00
PATIENCE = 60
RECONCILE_MINUTES = 1440
"""Tests that lose something compare when it suits them; nothing is put right behind their backs."""

ATTESTORS = ("alice", "bob", "carol")
WALLET = Path(__file__).parent / "contracts" / "ContractWallet.json"


@dataclass
class Stack:
    """A devnet with its workers in this process, and a client to it. `keys` are the demo accounts by label."""

    devnet: Devnet
    client: Client
    settings: Settings
    minting: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

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
        settings = Settings.load(path).model_copy(update={"reconcile_minutes": RECONCILE_MINUTES})
        async with service(settings):
            yield Stack(devnet, await Client.connect(devnet.network), settings)


@dataclass
class Scene:
    """Fresh people, and deals between them on the chains of `stack`. A currency is named as its chain, in capitals."""

    stack: Stack

    async def person(self, *symbols: str, amount: int = WEALTH) -> LocalAccount:
        """Somebody new who holds `amount` base units of each of these currencies."""
        key: LocalAccount = Account.create()
        for symbol in symbols:
            await self.mint(symbol, key.address, amount)
        return key

    async def mint(self, symbol: str, to: str, amount: int = WEALTH) -> None:
        chain = symbol.lower()
        async with self.stack.minting[chain]:
            await self.stack.devnet.deployer(chain).mint(self.stack.network.token(symbol).id.address, to, amount)

    async def wallet(self, owner: LocalAccount, *symbols: str) -> str:
        """The address of a contract account of `owner`, the same on the chains of all these currencies."""
        code = bytes.fromhex(json.loads(WALLET.read_text())["bytecode"][2:]) + encode(["address"], [owner.address])
        receipts = [
            await self.transact(symbol.lower(), Account.from_key(owner.key), None, "0x" + code.hex())
            for symbol in symbols
        ]
        return str(receipts[0]["contractAddress"])

    async def transact(self, chain: str, key: LocalAccount, to: str | None, data: str) -> dict[str, Any]:
        """A transaction of somebody's own, and its receipt."""
        return await transact(self.stack.devnet.chain(chain), key, to, data)

    def account(self, symbol: str, who: LocalAccount | str) -> AccountId:
        address = who if isinstance(who, str) else who.address
        return self.stack.network.account(symbol.lower(), address)

    def leg(self, symbol: str, payer: LocalAccount | str, payee: LocalAccount | str, amount: int = 100) -> Leg:
        token = self.stack.network.token(symbol).id
        return Leg(token=token, payer=self.account(symbol, payer), payee=self.account(symbol, payee), amount=amount)

    def deal(self, *legs: Leg, within: float = 120, settle: float = 3600, **terms: Any) -> Deal:
        """To be decided `within` seconds, and settled in `settle` seconds more."""
        decide_by = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=within)
        return Deal(legs=legs, decide_by=decide_by, expiry=decide_by + timedelta(seconds=settle), **terms)

    def terms(self, deal: Deal, leg: int) -> tuple[Terms, str]:
        """A leg as its escrow knows it, and the entry's id."""
        terms = Terms.of(deal, deal.legs[leg])
        return terms, terms.id(self.stack.network.chain(deal.legs[leg].chain).escrow)

    def signed(self, deal: Deal, *keys: LocalAccount) -> list[LegAuthorization]:
        return [each for key in keys for each in authorizations(self.stack.network, deal, key)]

    async def start(
        self,
        deal: Deal,
        *keys: LocalAccount,
        given: Sequence[LegAuthorization] = (),
        attestors: Sequence[str] = ATTESTORS,
    ) -> WorkflowHandle[Any, Any]:
        """Without the client's checks, as somebody with a client of his own would."""
        start = SettlementStart(
            deal=deal, authorizations=(*given, *self.signed(deal, *keys)), attestors=tuple(attestors), threshold=2
        )
        await self.stack.client.engine.start(start, "a test's deal")
        return self.handle(deal)

    def handle(self, deal: Deal) -> WorkflowHandle[Any, Any]:
        return self.stack.client.engine.temporal.get_workflow_handle(deal.id)

    async def reaches(self, deal: Deal, *states: State) -> Explanation:
        """Waits until the deal is in one of these states."""
        return await self.until(deal, lambda now: now.state in states)

    async def until(self, deal: Deal, wanted: Callable[[Explanation], object]) -> Explanation:
        """Waits for an explanation as `wanted`."""
        async with asyncio.timeout(PATIENCE):
            async for now in self.stack.client.follow(deal, 0.1):
                if wanted(now):
                    return now
        raise AssertionError(f"it ended {now.state}: {now.reason}")

    async def ends(self, deal: Deal) -> Explanation:
        return await self.stack.client.result(deal, PATIENCE)

    async def has(self, symbol: str, *people: LocalAccount | str) -> list[int]:
        """What each of them holds of a currency."""
        token = self.stack.network.token(symbol).id
        return [await balance(self.stack.network, token, self.account(symbol, each)) for each in people]

    def rpc(self, chain: str) -> Rpc:
        return Rpc(self.stack.network.chain(chain))


@pytest.fixture(scope="session")
def scene(stack: Stack) -> Scene:
    return Scene(stack)
