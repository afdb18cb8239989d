"""kill -9 of a connection node at every step of billing, and real reorganisations: each use is billed once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlmodel import select

from connectionchain.billing import Bill, BillState
from ledger.database import Database
from ledger.subscriptions import Subscription
from tests.chaos.bills import account
from tests.chaos.faults.programs import uses_booked
from tests.chaos.invariants import Balances, balances, violations
from tests.chaos.mandates import (
    CAPPED,
    METERED,
    MandateScript,
    Metered,
    Using,
    included,
    mandate_scripts,
    prepare,
    signed_use,
    start_mandate,
    use,
)
from tests.chaos.proxy import AFTER_BROADCAST, AFTER_RECEIPT, BEFORE_BROADCAST, Moment, Passing
from tests.chaos.storm import Aftermath, ends
from tests.chaos.violation import Violation
from tests.chaos.world import FINAL_DEPTH, World, world

PATIENCE = 60.0
BLOCK_TIME = 0.5
FITTING, USES = 2, 3
"""So many uses reach the threshold and just fit under the cap of a mandate that is CAPPED; so many are made."""

DATA = (1, 1, 1, 1, 1, 2)
"""Where each mandate's data is: the last one's on a chain of its own, and so it has its own watch."""


@pytest.fixture(scope="module")
async def made(tmp_path_factory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("billing"), block_time=BLOCK_TIME) as made:
        yield made


async def started(made: World, kinds: Sequence[str], seed: int) -> tuple[list[Metered], Balances]:
    """Active mandates, paid on one chain; and what everybody had before."""
    drawn = [
        replace(each, uses=(Using(0, 2 * FITTING),), places=(0, DATA[each.number]))
        for each in mandate_scripts(seed, len(kinds), span=0, uses=0, kinds=kinds)
    ]
    await prepare(drawn, made)
    before = await balances(made, drawn)
    played = list(await asyncio.gather(*(start_mandate(each, made) for each in drawn)))
    await asyncio.gather(*(until(made, each, lambda bill: bill.state is BillState.ACTIVE) for each in played))
    return played, before


async def judged(made: World, played: list[Metered], before: Balances) -> tuple[list[Violation], list[int]]:
    """Once all have ended: what is not as it should be, and how many uses of each were paid."""
    after = Aftermath(played=[], metered=played, struck=[])
    await ends(made, after, time.monotonic() + PATIENCE)
    accounts = [await account(made, each, after.bills[each.mandate.id]) for each in played]
    return await violations(made, after, accounts, before), [each.payable for each in accounts]


async def test_kill__at_each_step_bills_once(made) -> None:
    kinds = (METERED, METERED, METERED, CAPPED, METERED, METERED)
    played, before = await started(made, kinds, seed=5)
    drawn = [each.script for each in played]
    held = await settlements_held(made, drawn[:4])
    async with unheard(made):
        booked, seen = await uses_booked(made), moment(made, "use", AFTER_RECEIPT)
        await asyncio.gather(*(use(each, made, USES) for each in drawn[4:]))
        held.append(await seen)  # one of them was read and is not on the bill
        while await uses_booked(made) < booked + USES:  # noqa: ASYNC110 - the other is, but nobody heard of it
            await asyncio.sleep(0.1)
        await made.nodes["nodes1"].kill()
    for each in held:
        each.go_on.set()
    await made.nodes["nodes1"].start()
    await asyncio.gather(*(until(made, each, lambda bill: bill.progress.settled) for each in played))
    assert await judged(made, played, before) == ([], [USES, USES, USES, FITTING, USES, USES])


async def test_reorg__takes_a_use_out_and_it_is_billed_only_where_it_is_final(made) -> None:
    (played,), before = await started(made, (CAPPED,), seed=6)
    name = played.script.chains(made)[1]
    chain, booked, raw = made.chain(name), await uses_booked(made), await signed_use(played.script, made, FITTING)
    transaction = await chain.call("eth_sendRawTransaction", raw)
    await included(made, name, transaction)
    await chain.call("anvil_reorg", FINAL_DEPTH - 1, [])
    assert await chain.call("eth_getTransactionReceipt", transaction) is None
    await followed(made, played, await chain.quantity("eth_blockNumber"))
    assert await uses_booked(made) == booked

    await chain.call("eth_sendRawTransaction", raw)
    await included(made, name, transaction)
    first = await chain.call("eth_getTransactionReceipt", transaction)
    await chain.call("anvil_reorg", FINAL_DEPTH - 1, [(raw, FINAL_DEPTH - 2)])
    moved = await chain.call("eth_getTransactionReceipt", transaction)
    assert moved["blockHash"] != first["blockHash"]
    await until(made, played, lambda bill: bill.progress.settled)
    assert await judged(made, [played], before) == ([], [FITTING])


async def settlements_held(made: World, drawn: list[MandateScript]) -> list[Passing]:
    """Four payments that are held: one is in a block, one was sent, two are not, of which one is a mandate's last."""
    sent, included = moment(made, "meter", AFTER_BROADCAST), moment(made, "meter", AFTER_RECEIPT)
    await use(drawn[0], made, USES)
    first = await sent
    others = [
        moment(made, "meter", AFTER_BROADCAST),
        moment(made, "meter", BEFORE_BROADCAST),
        moment(made, "close", BEFORE_BROADCAST),
    ]
    await asyncio.sleep(0)  # they wait before the first goes on
    first.go_on.set()
    await asyncio.gather(*(use(each, made, USES) for each in drawn[1:]))
    return [await each for each in (included, *others)]


def moment(made: World, verb: str, point: str) -> asyncio.Task[Passing]:
    async def comes() -> Passing:
        passing = await made.proxy.next(Moment(verb, point), PATIENCE)
        assert passing, f"no {verb} {point}"
        return passing

    return asyncio.create_task(comes())


@asynccontextmanager
async def unheard(made: World):
    """The engine stands still."""
    engine = made.devnet.temporal.child.process
    engine.suspend()
    try:
        yield
    finally:
        engine.resume()


async def until(made: World, played: Metered, wanted: Callable[[Bill], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not wanted(await made.client.mandates.explain(played.mandate)):  # noqa: ASYNC110 - the engine is polled
            await asyncio.sleep(0.1)


async def followed(made: World, played: Metered, block: int) -> None:
    """Waits until the watch has gone past this block."""
    database = Database(made.ledger)
    mine = select(Subscription.next_block).where(Subscription.subscriber == played.mandate.id)
    async with asyncio.timeout(PATIENCE):
        while True:
            async with database.read() as session:
                if (await session.exec(mine)).one() > block:
                    break
            await asyncio.sleep(0.1)
    await database.close()
