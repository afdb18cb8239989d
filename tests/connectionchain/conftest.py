"""Real chains for the client's tests, and locks made on them directly, without any server of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectionchain import transactions
from connectionchain.authorization import sign_erc3009
from connectionchain.certificate import Attestation, Certificate, Outcome, settlement_typed_data, settlements
from connectionchain.cli.main import main
from connectionchain.conditions import Confirmed
from connectionchain.deal import Cancellable, Deal, Leg
from connectionchain.escrow import TERMS, Terms, call
from connectionchain.evidence import Kind
from connectionchain.ids import AccountId
from connectionchain.network import Network
from connectionchain.rpc import Rpc
from connectionchain.transactions import Sent
from connectionchain.typed_data import compact
from devnet.stack import Devnet

LOCK = f"lockWithAuthorization({TERMS},(uint256,bytes32,bytes32))"


@dataclass
class Bench:
    """A devnet whose blocks come with transactions, and the moves of a deal on it."""

    devnet: Devnet

    @property
    def network(self) -> Network:
        return self.devnet.network

    @property
    def keys(self) -> Any:
        return self.devnet.keys

    def account(self, label: str, chain: str) -> AccountId:
        return self.network.account(chain, self.keys[label].address)

    async def now(self) -> datetime:
        """The latest chain time of all chains."""
        times = []
        for chain in self.network.chains.values():
            async with Rpc(chain) as rpc:
                times.append((await rpc.block()).time)
        return max(times)

    async def deal(self, **terms: Any) -> Deal:
        """A purchase: Hanako pays 12.00 A to the liquidity, which pays 10.00 B to the bookstore."""
        start = await self.now()
        a, b = self.network.token("A").id, self.network.token("B").id
        shop = self.account("bookstore", "b")
        legs = (
            Leg(token=a, payer=self.account("hanako", "a"), payee=self.account("liquidity", "a"), amount=1200),
            Leg(token=b, payer=self.account("liquidity", "b"), payee=shop, amount=1000),
        )
        usual = {
            "legs": legs,
            "condition": Confirmed(by=shop),
            "cancellable": Cancellable(by=(shop,)),
            "decide_by": start + timedelta(minutes=10),
            "expiry": start + timedelta(minutes=20),
        }
        return Deal.model_validate(usual | terms)

    async def lock(self, deal: Deal) -> list[Sent]:
        return [await self._lock(deal, leg) for leg in deal.legs]

    async def _lock(self, deal: Deal, leg: Leg) -> Sent:
        chain, terms = self.network.chain(leg.chain), Terms.of(deal, leg)
        key = next(key for key in self.keys.values() if key.address.lower() == leg.payer.address)
        signed = sign_erc3009(terms, chain.escrow, self.network.token(leg.token), terms.expiry, key)
        raw = bytes.fromhex(compact(signed.signature)[2:])
        data = call(LOCK, terms.row, (terms.expiry, raw[:32], raw[32:]))
        return await self.send(chain.id, data)

    async def send(self, chain: str, data: str, label: str = "taro") -> Sent:
        async with Rpc(self.network.chain(chain)) as rpc:
            return await transactions.send(rpc, data, self.keys[label])

    def certificate(self, deal: Deal, outcome: Outcome, *names: str) -> Certificate:
        signers = [self.keys[f"attestor.{name}"] for name in names or ("alice", "bob")]
        return Certificate(
            deal=deal.id, outcome=outcome, attestations=tuple(self._attest(deal, outcome, key) for key in signers)
        )

    def _attest(self, deal: Deal, outcome: Outcome, key: Any) -> Attestation:
        typed = [
            settlement_typed_data(deal, each, outcome, self.network.chain(each.chain).escrow)
            for each in settlements(deal, outcome)
        ]
        return Attestation(
            attestor=key.address, outcome=outcome, signatures=tuple(compact(each.sign(key)) for each in typed)
        )


@pytest.fixture(scope="session")
async def bench() -> AsyncIterator[Bench]:
    async with Devnet.temporary(chains=2) as devnet:
        yield Bench(devnet)


@pytest.fixture
def kinds() -> Callable[[Any], list[Kind]]:
    return lambda entry: [event.kind for event in entry.events]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]:
    """Runs one command: (exit code, stdout, stderr). In a thread, for it has an event loop of its own."""

    async def run(*arguments: object) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [str(each) for each in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Network], Path]:
    """Writes a network file."""

    def write(network: Network) -> Path:
        file = tmp_path / "network.json"
        file.write_text(network.model_dump_json())
        return file

    return write


@pytest.fixture
def chains_only(bench: Bench, written: Callable[[Network], Path]) -> Path:
    """A network file whose engine is dead."""
    engine = bench.network.engine.model_copy(update={"address": "127.0.0.1:1"})
    return written(bench.network.model_copy(update={"engine": engine}))


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a key to a file."""

    def write(key: Any, mode: int = 0o600) -> Path:
        file = tmp_path / f"{key.address}.key"
        file.write_text("0x" + key.key.hex().removeprefix("0x") + "\n")
        file.chmod(mode)
        return file

    return write
