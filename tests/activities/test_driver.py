"""Stuck, displaced, forgotten and contested transactions: what the driver makes of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account
from structlog.testing import capture_logs

from activities.driver import AT_WORK, MOST_RESENT, Driver, within
from adapters.base import Incident, Lock
from adapters.evm.adapter import EvmAdapter
from adapters.evm.fees import GWEI, FeePolicy
from connectionchain import Deal, Leg
from connectionchain.authorization import sign_erc3009
from connectionchain.errors import Rejected, Unavailable
from connectionchain.escrow import Status, Terms
from connectionchain.evidence import Kind
from devnet.stack import Devnet
from ledger.database import Database
from ledger.outbox import Fate, Outbox, OutboxTransaction

LOCKED = within(Status.LOCKED)


@dataclass
class Bench:
    """A chain whose blocks come when the test says so, and a driver on it."""

    devnet: Devnet
    chain: EvmAdapter
    outbox: Outbox
    driver: Driver
    incidents: list[Incident] = field(default_factory=list)

    async def mine(self, blocks: int) -> None:
        for _ in range(blocks):
            await self.devnet.chain("a").mine()

    async def mining(self, done: asyncio.Future[Any], every: float = 0.1) -> None:
        """Blocks go on until `done` is."""
        while not done.done():
            await self.mine(1)
            await asyncio.wait([done], timeout=every)


@pytest.fixture
async def bench(tmp_path) -> AsyncIterator[Bench]:
    async with Devnet.temporary(chains=1) as devnet:
        key, incidents = Account.create(), []
        await devnet.chain("a").call("anvil_setBalance", key.address, hex(10**20))
        await devnet.chain("a").call("evm_setAutomine", False)

        async def note(incident: Incident) -> None:
            incidents.append(incident)

        chain = EvmAdapter(devnet.network.chains["a"], key, FeePolicy(cap=100 * GWEI), note)
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
        await database.create()
        outbox = Outbox(database, chain.chain, chain.account)
        async with chain.follower.running():
            yield Bench(devnet, chain, outbox, Driver(chain, outbox, timedelta(seconds=1)), incidents)
        await chain.close()
        await database.close()


def a_lock(bench: Bench) -> Lock:
    """Of a leg that is signed and ready."""
    network, hanako = bench.devnet.network, bench.devnet.keys["hanako"]
    payee = network.account("a", bench.devnet.keys["liquidity"].address)
    leg = Leg(token=network.tokens["A"].id, payer=network.account("a", hanako.address), payee=payee, amount=100)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    deal = Deal(legs=(leg,), decide_by=soon, expiry=soon + timedelta(hours=1))
    terms, valid_before = Terms.of(deal, leg), int(soon.timestamp())
    return Lock(terms, sign_erc3009(terms, bench.chain.escrow, network.tokens["A"], valid_before, hanako))


@pytest.fixture
def lock(bench) -> Lock:
    return a_lock(bench)


async def attempts(bench: Bench, name: str, count: int) -> list[OutboxTransaction]:
    """Waits until the operation has so many attempts."""
    async with asyncio.timeout(20):
        while len(found := await bench.outbox.attempts(name)) < count:  # noqa: ASYNC110 - the database is polled
            await asyncio.sleep(0.05)
    return found


async def test_drive__a_stuck_transaction_is_replaced_with_the_same_nonce_and_a_higher_fee(bench, lock) -> None:
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    first, second = (await attempts(bench, "op", 2))[:2]
    assert (first.sequence, first.attempt, second.attempt) == (second.sequence, 0, 1)
    assert first.hash != second.hash
    assert second.plan["maxFeePerGas"] * 8 >= first.plan["maxFeePerGas"] * 9
    await bench.mining(driving)
    await driving
    assert (await bench.chain.entry(lock.terms, "final")).status is Status.LOCKED


async def test_drive__a_fee_at_the_cap_is_kept_and_tried_on(bench, lock) -> None:
    bench.chain._fees = FeePolicy(cap=2 * GWEI)
    with capture_logs() as logs:
        driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
        async with asyncio.timeout(20):
            while not any("fee cap reached" in each["event"] for each in logs):  # noqa: ASYNC110 - the log is polled
                await asyncio.sleep(0.05)
    found = await bench.outbox.attempts("op")
    assert all(each.plan["maxFeePerGas"] <= 2 * GWEI for each in found)
    await bench.mining(driving)
    await driving


async def test_drive__what_became_too_cheap_before_it_was_sent_gets_a_higher_fee(bench, lock) -> None:
    plan = await bench.chain.plan(lock)
    await bench.outbox.claim("op", await bench.chain.sequence(), plan.content, bench.driver._sign(plan))
    await bench.devnet.chain("a").call("anvil_setNextBlockBaseFeePerGas", hex(3 * plan.content["maxFeePerGas"]))
    await bench.mine(1)
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    with capture_logs() as logs:
        first, second = (await attempts(bench, "op", 2))[:2]
    assert next(each["transaction"] for each in logs if "wants a higher fee" in each["event"]) == first.hash
    assert second.plan["maxFeePerGas"] >= 3 * first.plan["maxFeePerGas"]
    await bench.mining(driving)
    await driving


async def test_drive__a_dropped_mempool_gets_the_same_bytes_again(bench, lock) -> None:
    bench.driver._patience = timedelta(hours=1)
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    (first,) = await attempts(bench, "op", 1)
    await bench.devnet.chain("a").call("anvil_dropAllTransactions")
    await bench.mining(driving)
    await driving
    assert (await bench.chain.history(lock.terms, 0))[0].transaction == first.hash


async def test_drive__what_another_chains_node_rejects_is_asked_again(bench, lock, monkeypatch) -> None:
    """It has an escrow at the same address, with other attestors' signatures in mind."""
    node, done = bench.chain.node, []
    ask, doubt = node.eth, node.doubt

    async def eth(method: str, *given, **more):
        if method == "estimate_gas":
            done.append(method)
            if "doubt" not in done:
                raise Rejected("the contract reverts: NotAttestor(0x)")
        return await ask(method, *given, **more)

    monkeypatch.setattr(node, "eth", eth)
    monkeypatch.setattr(node, "doubt", lambda: done.append("doubt") or doubt())
    assert (await bench.chain.plan(lock)).content["to"]
    assert done[-2:] == ["doubt", "estimate_gas"]


async def test_history__is_found_in_steps_as_small_as_the_node_bears(bench, lock) -> None:
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    await bench.mining(driving)
    await bench.mine(20)
    found = await bench.chain.history(lock.terms, 0)
    assert [each.kind for each in found] == [Kind.LOCKED]
    bench.chain.escrow_stride.blocks = 1
    assert await bench.chain.history(lock.terms, 0) == found


async def test_drive__a_strangers_use_of_the_account_is_planned_around(bench, lock) -> None:
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    (first, *_) = await attempts(bench, "op", 1)
    await bench.devnet.chain("a").call("anvil_dropAllTransactions")
    await foreign_transaction(bench, first.sequence)
    await bench.mining(driving)
    await driving
    steps = await bench.chain.history(lock.terms, 0)
    assert len(steps) == 1
    assert steps[0].transaction != first.hash


async def foreign_transaction(bench: Bench, nonce: int) -> None:
    """Somebody else signs with our key."""
    fields = {"to": bench.chain._key.address, "value": 1, "gas": 21_000, "nonce": nonce, "type": 2, "chainId": 31337}
    fields |= {"maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": 40 * GWEI}
    signed = bench.chain._key.sign_transaction(fields)
    await bench.devnet.chain("a").call("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())


async def test_drive__a_forgotten_transaction_does_not_block_the_lane(bench) -> None:
    """Its bytes were stored, the process died before sending, and nobody asks for it any more."""
    forgotten, wanted = a_lock(bench), a_lock(bench)
    plan = await bench.chain.plan(forgotten)
    await bench.outbox.claim("forgotten", await bench.chain.sequence(), plan.content, bench.driver._sign(plan))
    driving = asyncio.create_task(bench.driver.drive("wanted", wanted, [wanted.terms], LOCKED))
    await attempts(bench, "wanted", 1)
    await bench.mining(driving)
    await driving
    assert (await bench.chain.entry(forgotten.terms, "latest")).status is Status.LOCKED


async def test_drive__what_nobody_needs_any_more_gets_a_higher_fee_if_it_blocks_the_lane(bench) -> None:
    """Somebody else did the same meanwhile: its operation has ended, but not its transaction."""
    needless, wanted = a_lock(bench), a_lock(bench)
    plan = await bench.chain.plan(needless)
    (first,) = await bench.outbox.claim(
        "needless", await bench.chain.sequence(), plan.content, bench.driver._sign(plan)
    )
    await bench.outbox.finish("needless", Fate.FINAL)
    await bench.devnet.chain("a").call("anvil_setNextBlockBaseFeePerGas", hex(3 * plan.content["maxFeePerGas"]))
    await bench.mine(1)
    driving = asyncio.create_task(bench.driver.drive("wanted", wanted, [wanted.terms], LOCKED))
    async with asyncio.timeout(20):
        while (newest := (await bench.outbox.waiting(0, first.sequence + 1))[0]).attempt == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (newest.operation, newest.fate) == ("needless", Fate.FINAL)
    assert newest.plan["maxFeePerGas"] >= 3 * first.plan["maxFeePerGas"]
    await bench.mining(driving)
    await driving


async def test_drive__far_back_in_the_lane_it_waits_for_its_turn_and_not_for_its_fee(bench) -> None:
    locks = [a_lock(bench) for _ in range(MOST_RESENT + 3)]
    driving = [
        asyncio.create_task(bench.driver.drive(f"op{n}", each, [each.terms], LOCKED)) for n, each in enumerate(locks)
    ]
    found = [(await attempts(bench, f"op{n}", 1))[0] for n in range(len(locks))]
    in_order = [row.operation for row in sorted(found, key=lambda row: row.sequence)]
    for name in in_order[:MOST_RESENT]:
        await attempts(bench, name, 2)
    assert [len(await bench.outbox.attempts(name)) for name in in_order[MOST_RESENT:]] == [1, 1, 1]
    everything = asyncio.gather(*driving)
    await bench.mining(everything)
    await everything


async def test_drive__ever_so_many_at_once_ask_the_chain_a_few_at_a_time(bench, monkeypatch) -> None:
    locks, asking, most = [a_lock(bench) for _ in range(3 * AT_WORK)], 0, 0
    plan = bench.chain.plan

    async def counted(operation):
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        try:
            return await plan(operation)
        finally:
            asking -= 1

    monkeypatch.setattr(bench.chain, "plan", counted)
    everything = asyncio.gather(
        *(bench.driver.drive(f"op{n}", each, [each.terms], LOCKED) for n, each in enumerate(locks))
    )
    await bench.mining(everything)
    await everything
    assert 1 < most <= AT_WORK


async def test_drive__a_reorganisation_takes_the_lock_back_and_it_is_driven_again(bench, lock) -> None:
    bench.driver._patience = timedelta(hours=1)
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    while (await bench.chain.entry(lock.terms, "latest")).status is not Status.LOCKED:
        await bench.mine(1)
    assert not driving.done()
    await bench.devnet.chain("a").call("anvil_rollback", 1)
    assert (await bench.chain.entry(lock.terms, "latest")).status is Status.NONE
    await bench.mining(driving)
    await driving
    assert (await bench.chain.entry(lock.terms, "final")).status is Status.LOCKED
    assert bench.incidents == []


async def test_drive__what_reverts_for_good_is_rejected_with_nothing_in_flight(bench, lock) -> None:
    plan = await bench.chain.plan(lock)
    await bench.outbox.claim("op", await bench.chain.sequence(), plan.content, bench.driver._sign(plan))
    await bench.devnet.chain("a").call("evm_increaseTime", 10**8)  # its authorisation runs out meanwhile
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    await bench.mining(driving)
    with pytest.raises(Rejected):
        await driving
    assert await bench.outbox.attempts("op") == []


async def test_drive__two_workers_share_a_lane(bench) -> None:
    """The same operations driven twice at once: each has one transaction, and all nonces are different."""
    locks = [a_lock(bench) for _ in range(6)]
    twin = Driver(bench.chain, bench.outbox, timedelta(hours=1))
    tasks = [
        asyncio.create_task(driver.drive(f"op{n}", lock, [lock.terms], LOCKED))
        for n, lock in enumerate(locks)
        for driver in (bench.driver, twin)
    ]
    together = asyncio.ensure_future(asyncio.gather(*tasks))
    await bench.mining(together)
    await together
    histories = [await bench.chain.history(lock.terms, 0) for lock in locks]
    assert [len(each) for each in histories] == [1] * 6
    assert len({each[0].transaction for each in histories}) == 6


async def test_drive__a_short_trouble_of_the_node_fails_nothing_and_a_lasting_one_is_told(
    bench, lock, monkeypatch
) -> None:
    plan, times = bench.chain.plan, 2

    async def troubled(operation):
        nonlocal times
        times -= 1
        if times >= 0:
            raise Unavailable("the line is cut", field="rpc")
        return await plan(operation)

    monkeypatch.setattr(bench.chain, "plan", troubled)
    driving = asyncio.create_task(bench.driver.drive("op", lock, [lock.terms], LOCKED))
    await bench.mining(driving)
    await driving
    assert times < 0

    times = 1_000
    monkeypatch.setattr("activities.driver.SIT_OUT_S", 3)
    other = a_lock(bench)
    with pytest.raises(Unavailable, match="the line is cut"):
        await bench.driver.drive("other", other, [other.terms], LOCKED)
