"""Ledger operations are done once, whoever asks for them how often, and leave evidence of what the chain says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from eth_account import Account
from sqlmodel import select
from temporalio.exceptions import ApplicationError

from activities.driver import Driver
from activities.node import ConnectionNode
from activities.orders import GiveBackOrder, LockOrder, ReleaseOrder
from adapters.base import Broadcast, Prepared
from adapters.evm.adapter import EvmAdapter
from adapters.evm.fees import FeePolicy
from connectionchain import Deal
from connectionchain.certificate import Attestation, Certificate, Outcome, settlement_typed_data, settlements
from connectionchain.errors import Unavailable
from connectionchain.evidence import Kind
from connectionchain.rpc import Rpc
from connectionchain.transactions import settle
from connectionchain.typed_data import compact
from ledger import evidence
from ledger.database import Database
from ledger.outbox import Fate, Outbox, OutboxTransaction


class Interrupted(EvmAdapter):
    """Fails its first broadcasts, and remembers all of them."""

    failures = 0

    async def broadcast(self, prepared: Prepared) -> Broadcast:
        self.sent.append(prepared.raw)
        if self.failures:
            self.failures -= 1
            raise Unavailable("the line is cut")
        return await super().broadcast(prepared)


class Own:
    """A connection node of the test's own: its account, its database, the session's chain `a`."""

    def __init__(self, scene: Any, database: Database, adapter: Interrupted) -> None:
        self.scene, self.database, self.adapter = scene, database, adapter
        outbox = Outbox(database, adapter.chain, adapter.account)
        self.node = ConnectionNode(adapter, adapter.escrow, outbox, Driver(adapter, outbox, timedelta(minutes=1)))

    async def transactions(self) -> list[OutboxTransaction]:
        async with self.database.read() as session:
            return list(await session.exec(select(OutboxTransaction)))

    async def evidence(self, deal: Deal) -> list[Any]:
        async with self.database.read() as session:
            return await evidence.records(session, deal.id)


@asynccontextmanager
async def running(scene: Any, folder: Any) -> AsyncIterator[Own]:
    key = Account.create()
    await scene.stack.devnet.chain("a").call("anvil_setBalance", key.address, hex(10**20))
    database = Database(f"sqlite+aiosqlite:///{folder}/{key.address}.db")
    await database.create()

    async def shout(incident: Any) -> None:
        raise AssertionError(incident)

    adapter = Interrupted(scene.stack.network.chain("a"), key, FeePolicy(), shout)
    adapter.sent = []
    try:
        async with adapter.follower.running():
            yield Own(scene, database, adapter)
    finally:
        await adapter.close()
        await database.close()


@pytest.fixture
async def own(scene, tmp_path):
    async with running(scene, tmp_path) as node:
        yield node


def certificate(scene: Any, deal: Deal, outcome: Outcome) -> Certificate:
    """As two of the three attestors would give it."""
    keys = [scene.stack.keys[f"attestor.{name}"] for name in ("alice", "bob")]
    given = []
    for key in keys:
        typed = [
            settlement_typed_data(deal, each, outcome, scene.stack.network.chain(each.chain).escrow)
            for each in settlements(deal, outcome)
        ]
        signatures = tuple(compact(each.sign(key)) for each in typed)
        given.append(Attestation(attestor=key.address, outcome=outcome, signatures=signatures))
    return Certificate(deal=deal.id, outcome=outcome, attestations=tuple(given))


async def drafted(scene: Any, **terms: Any) -> tuple[Any, Any, Deal, LockOrder]:
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), **terms)
    (given,) = scene.signed(deal, hanako)
    return hanako, shop, deal, LockOrder(deal=deal, leg=0, authorization=given.authorization)


async def test_lock__twice_at_once_and_again_is_one_lock(scene, own) -> None:
    hanako, _shop, deal, order = await drafted(scene)
    first, second = await asyncio.gather(own.node.lock(order), own.node.lock(order))
    again = await own.node.lock(order)
    assert first == second == again
    (sent,) = await own.transactions()
    assert (sent.operation, sent.hash, sent.fate) == (f"{deal.id}/0/lock", first.transaction, Fate.FINAL)
    assert len(await own.evidence(deal)) == 1
    assert await scene.has("A", hanako) == [1_000_00 - 100]


async def test_lock__that_another_node_did_is_reported_not_repeated(scene, own, tmp_path) -> None:
    _hanako, _shop, deal, order = await drafted(scene)
    async with running(scene, tmp_path) as other:
        done = await other.node.lock(order)
    assert await own.node.lock(order) == done
    assert await own.transactions() == []
    (record,) = await own.evidence(deal)
    assert record.step == done


async def test_lock__by_two_nodes_at_once_is_one_lock(scene, own, tmp_path) -> None:
    """Nonces of two accounts do not exclude each other; the escrow does."""
    hanako, _shop, _deal, order = await drafted(scene)
    async with running(scene, tmp_path) as other:
        steps = await asyncio.gather(own.node.lock(order), other.node.lock(order))
    assert steps[0] == steps[1]
    assert await scene.has("A", hanako) == [1_000_00 - 100]


async def test_raw_transaction__is_stored_before_it_is_sent_and_sent_again_unchanged(scene, own, monkeypatch) -> None:
    _hanako, _shop, deal, order = await drafted(scene)
    own.adapter.failures = 1
    monkeypatch.setattr("activities.driver.SIT_OUT_S", 0)
    with pytest.raises(ApplicationError, match="the line is cut") as failure:
        await own.node.lock(order)
    assert not failure.value.non_retryable
    (stored,) = await own.transactions()
    assert (stored.operation, stored.fate, stored.raw) == (f"{deal.id}/0/lock", Fate.OPEN, own.adapter.sent[0])
    async with Rpc(scene.stack.network.chain("a")) as rpc:
        assert await rpc.call("eth_getTransactionByHash", stored.hash) is None

    step = await own.node.lock(order)
    assert step.transaction == stored.hash
    assert set(own.adapter.sent) == {stored.raw}
    assert [each.hash for each in await own.transactions()] == [stored.hash]


async def test_evidence__is_what_the_chain_says(scene, own) -> None:
    _hanako, _shop, deal, order = await drafted(scene)
    await own.node.lock(order)
    commit = certificate(scene, deal, Outcome.COMMIT)
    (settlement,) = settlements(deal, Outcome.COMMIT)
    await own.node.release(ReleaseOrder(deal=deal, settlement=settlement, certificate=commit))
    locked, released = await own.evidence(deal)
    (entry,) = (await scene.stack.client.record(deal)).entries
    for record, event in zip((locked, released), entry.events, strict=True):
        assert (record.deal, record.escrow_id, record.amount) == (deal.id, entry.id, 100)
        assert record.step.kind.value == event.kind.value
        assert record.step.transaction == event.transaction
        assert (record.step.block, record.step.log_index) == (event.block, event.log_index)
    assert locked.attestors == ()
    assert released.attestors == commit.attestors


async def test_release__twice_or_after_a_stranger_is_one_release(scene, own) -> None:
    _hanako, shop, deal, order = await drafted(scene)
    await own.node.lock(order)
    commit, stranger = certificate(scene, deal, Outcome.COMMIT), Account.create()
    await scene.stack.devnet.chain("a").call("anvil_setBalance", stranger.address, hex(10**20))
    (sent,) = await settle(scene.stack.network, deal, commit, stranger)
    (settlement,) = settlements(deal, Outcome.COMMIT)
    release = ReleaseOrder(deal=deal, settlement=settlement, certificate=commit)
    (first,), (second,) = await asyncio.gather(own.node.release(release), own.node.release(release))
    assert first == second
    assert first.transaction == sent.transaction
    assert [each.operation for each in await own.transactions()] == [f"{deal.id}/0/lock"]
    assert await scene.has("A", shop) == [100]


async def test_release__with_too_few_or_wrong_signatures_is_rejected(scene, own) -> None:
    _hanako, shop, deal, order = await drafted(scene)
    await own.node.lock(order)
    commit = certificate(scene, deal, Outcome.COMMIT)
    abort = certificate(scene, deal, Outcome.ABORT)
    one = commit.model_copy(update={"attestations": commit.attestations[:1]})
    twice = commit.model_copy(update={"attestations": commit.attestations[:1] * 2})
    other = commit.model_copy(update={"attestations": abort.attestations})
    (settlement,) = settlements(deal, Outcome.COMMIT)
    for bad in (one, twice, other):
        with pytest.raises(ApplicationError) as refusal:
            await own.node.release(ReleaseOrder(deal=deal, settlement=settlement, certificate=bad))
        assert refusal.value.type == "Rejected"
        assert refusal.value.non_retryable
    assert await scene.has("A", shop) == [0]
    await own.node.release(ReleaseOrder(deal=deal, settlement=settlement, certificate=commit))
    assert await scene.has("A", shop) == [100]


async def test_give_back__of_what_was_never_locked(scene, own, monkeypatch) -> None:
    monkeypatch.setattr("activities.driver.SIT_OUT_S", 0)
    _hanako, _shop, deal, _order = await drafted(scene)
    abort = certificate(scene, deal, Outcome.ABORT)
    with pytest.raises(ApplicationError, match="does not know of the lock") as unknown:
        await own.node.give_back(GiveBackOrder(deal=deal, leg=0, certificate=abort))
    assert not unknown.value.non_retryable  # a node that is behind: the deal only gives back what was locked for good
    assert await own.evidence(deal) == []
    assert await own.transactions() == []


async def test_give_back__by_certificate_then_never_released(scene, own) -> None:
    hanako, _shop, deal, order = await drafted(scene)
    await own.node.lock(order)
    back = GiveBackOrder(deal=deal, leg=0, certificate=certificate(scene, deal, Outcome.ABORT))
    first = await own.node.give_back(back)
    assert await own.node.give_back(back) == first
    assert first is not None
    assert first.kind is Kind.REFUNDED
    (settlement,) = settlements(deal, Outcome.COMMIT)
    commit = certificate(scene, deal, Outcome.COMMIT)
    with pytest.raises(ApplicationError, match="refunded already"):
        await own.node.release(ReleaseOrder(deal=deal, settlement=settlement, certificate=commit))
    assert await scene.has("A", hanako) == [1_000_00]


async def test_give_back__without_certificate_waits_for_expiry_by_chain_time(scene, own, monkeypatch) -> None:
    """The engine's clock may be ahead of the chain's: what is too early for the chain is no failure."""
    monkeypatch.setattr("connectionchain.deal.SETTLEMENT_MARGIN", timedelta(seconds=1))
    hanako, _shop, deal, order = await drafted(scene, within=4, settle=3)
    await own.node.lock(order)
    step = await own.node.give_back(GiveBackOrder(deal=deal, leg=0))
    assert step is not None
    assert step.kind is Kind.RECLAIMED
    assert step.block.time >= deal.expiry
    assert await scene.has("A", hanako) == [1_000_00]


async def test_give_back__with_a_certificate_that_is_none_ends_in_reclaim(scene, own, monkeypatch) -> None:
    monkeypatch.setattr("connectionchain.deal.SETTLEMENT_MARGIN", timedelta(seconds=1))
    hanako, _shop, deal, order = await drafted(scene, within=4, settle=3)
    await own.node.lock(order)
    worthless = certificate(scene, deal, Outcome.ABORT).model_copy(update={"attestations": ()})
    step = await own.node.give_back(GiveBackOrder(deal=deal, leg=0, certificate=worthless))
    assert step is not None
    assert step.kind is Kind.RECLAIMED
    assert await scene.has("A", hanako) == [1_000_00]
