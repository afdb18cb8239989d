"""Use on one chain is paid on another, by mandate (paper, section 5.2)."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select
from temporalio.client import WorkflowUpdateFailedError

from connectionchain.billing import BillState, TopUp, dispute, termination
from connectionchain.bills import Status
from connectionchain.cli.main import main
from connectionchain.errors import AlreadyDecided, InsufficientFunds, InvalidInput, NotEntitled, TooLate
from connectionchain.events import Position
from connectionchain.evidence import Kind
from connectionchain.mandate import AtCap
from connectionchain.tariff import Tariff, Tier
from ledger import evidence
from ledger.database import Database
from ledger.subscriptions import Subscription
from tests.market import Market, until


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


async def ended(market, mandate, handle, *, after: float = 2):
    """The consumer ends it; the bill when all is done."""
    await handle.execute_update("terminate", termination(mandate, in_seconds(after), market.consumer))
    return await handle.result()


async def test_use__is_paid_at_the_threshold_and_the_rest_returns(scene) -> None:
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate()
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    assert await market.has() == [90_000, 0]
    await market.use("map")
    await until(handle, lambda now: now.progress.used == 600)
    assert await market.has() == [90_000, 0]  # below the threshold
    await market.use("map", "table")
    paid = await until(handle, lambda now: now.progress.settlements == 1)
    assert await market.has() == [90_000, 1350]
    assert (paid.progress.uses, paid.remaining, paid.near_cap) == (3, 8650, False)
    await market.use("table")
    result = await ended(market, mandate, handle)
    assert result.state is BillState.CLOSED
    assert result.progress.settled == 1500
    assert await market.has() == [98_500, 1500]
    uses = await market.uses(mandate)
    assert [(use.number, use.units, use.price, use.total) for use in uses] == [
        (1, 600, 600, 600),
        (2, 600, 600, 1200),
        (3, 150, 150, 1350),
        (4, 150, 150, 1500),
    ]
    database = Database(scene.stack.settings.database)
    async with database.read() as session:
        records = await evidence.records(session, mandate.id)
    await database.close()
    assert [(each.step.kind, each.amount) for each in records] == [
        (Kind.LOCKED, 10_000),
        (Kind.METERED, 1350),
        (Kind.CLOSED, 1500),
    ]
    assert [len(each.attestors) for each in records] == [0, 2, 2]


async def test_period__settles_what_is_below_the_threshold(scene) -> None:
    market = await Market.open(scene, map=600)
    handle = await market.start(await market.mandate(period=4))
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    await until(handle, lambda now: now.progress.settled == 600)
    assert await market.has() == [90_000, 600]


async def test_end__closes_by_itself_and_later_use_is_not_billed(scene) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate(end=in_seconds(8))
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    await until(handle, lambda now: now.state is BillState.CLOSING)
    await market.use("map")
    result = await handle.result()
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 600)
    assert await market.has() == [99_400, 600]


async def test_cap__refuses_further_use_and_is_never_overdrawn(scene) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate(cap=2000)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "map", "map", "map")
    result = await handle.result()
    assert (result.state, result.progress.settled, result.near_cap) == (BillState.CLOSED, 1800, True)
    assert await market.has() == [98_200, 1800]


async def test_cap__smaller_than_one_use(scene) -> None:
    market = await Market.open(scene, map=600)
    handle = await market.start(await market.mandate(cap=599, threshold=1))
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    result = await handle.result()
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 0)
    assert await market.has() == [100_000, 0]


async def test_top_up__pays_in_order_what_was_recorded_as_unpaid(scene) -> None:
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate(cap=1000, at_cap=AtCap.RECORD, threshold=100)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "map", "table")
    waiting = await until(handle, lambda now: now.progress.settled == 600)
    assert waiting.waiting_for == ("a top-up by the consumer: use is recorded as unpaid",)
    assert await market.has() == [99_000, 600]
    for number in (1, 2):  # two of the same amount are two entries
        top_up = TopUp(number=number, amount=500, authorization=market.authorization(mandate, number, 500))
        await handle.execute_update("top_up", top_up)
    await until(handle, lambda now: now.progress.settled == 1350)
    assert await market.has() == [98_000, 1350]
    result = await ended(market, mandate, handle)
    assert result.progress.entries == (1000, 500, 500)
    assert await market.has() == [98_650, 1350]


async def test_top_up__on_the_command_line(scene, tmp_path, capsys) -> None:
    market = await Market.open(scene, wealth=2000, map=600)
    mandate = await market.mandate(cap=1000, at_cap=AtCap.RECORD, threshold=100)
    await scene.stack.client.mandates.start(mandate, market.consumer)
    handle = scene.stack.client.engine.temporal.get_workflow_handle(mandate.id)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "map")
    await until(handle, lambda now: now.progress.settled == 600)

    async def top_up(amount: str, key) -> tuple[int, str]:
        file = tmp_path / f"{key.address}.key"
        file.write_text(key.key.to_0x_hex())
        file.chmod(0o600)
        given = ["--amount", amount, "--key-file", str(file), "--network", str(scene.stack.devnet.network_file)]
        code = await asyncio.to_thread(main, ["bills", "top-up", mandate.id, *given, "--json"])
        told = capsys.readouterr()
        return code, told.out or told.err

    code, told = await top_up("5.00", market.consumer)
    assert code == 0
    assert json.loads(told)["bill"]["progress"]["entries"] == ["1000", "500"]
    await until(handle, lambda now: now.progress.settled == 1200)
    assert await market.has() == [500, 1200]
    for amount, key, refused, error in (
        ("5.001", market.consumer, 2, "InvalidInput"),
        ("5.00", market.provider, 3, "NotEntitled"),
        ("5.01", market.consumer, 4, "InsufficientFunds"),
    ):
        code, told = await top_up(amount, key)
        assert (code, json.loads(told)["error"]) == (refused, error)
    await scene.stack.client.mandates.terminate(mandate, market.consumer)
    assert (await scene.stack.client.mandates.result(mandate, 60)).state is BillState.CLOSED
    assert await market.has() == [800, 1200]
    assert (await top_up("1.00", market.consumer))[0] == 3


async def test_dispute__holds_its_own_amount_only(scene) -> None:
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate(dispute_window=12, threshold=100)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "table", "map")
    await until(handle, lambda now: now.progress.uses == 3)
    disputed = (await market.uses(mandate))[0].at
    with pytest.raises(WorkflowUpdateFailedError) as forged:
        await handle.execute_update("dispute", dispute(mandate, disputed, market.provider))
    assert forged.value.__cause__.__cause__.type == "BadSignature"
    await handle.execute_update("dispute", dispute(mandate, disputed, market.consumer))
    assert await market.has() == [90_000, 0]  # nothing is payable before the window has passed
    result = await ended(market, mandate, handle)
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 750)
    assert await market.has() == [99_250, 750]
    assert [use.disputed for use in await market.uses(mandate)] == [True, False, False]


async def test_dispute__too_late_or_of_no_use(scene) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate(dispute_window=1, threshold=100, period=3)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    await until(handle, lambda now: now.progress.settled == 600)
    use = (await market.uses(mandate))[0].at
    for at, kind in ((use, "TooLate"), (use.model_copy(update={"log_index": 77}), "UnknownName")):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("dispute", dispute(mandate, at, market.consumer))
        assert refused.value.__cause__.__cause__.type == kind


async def test_termination__of_somebody_else_or_in_the_past_is_refused(scene) -> None:
    market = await Market.open(scene)
    mandate = await market.mandate()
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("terminate", termination(mandate, in_seconds(2), market.provider))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("terminate", termination(mandate, in_seconds(-120), market.consumer))
    assert (await ended(market, mandate, handle)).state is BillState.CLOSED
    assert await market.has() == [100_000, 0]


async def test_termination__of_what_is_closing_or_closed_is_too_late(scene) -> None:
    market, mandates = await Market.open(scene, map=600), scene.stack.client.mandates
    mandate = await market.mandate(cap=599, dispute_window=6)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    await until(handle, lambda now: now.state is BillState.CLOSING)
    with pytest.raises(AlreadyDecided, match="being closed"):
        await mandates.terminate(mandate, market.consumer)
    assert (await handle.result()).state is BillState.CLOSED
    with pytest.raises(TooLate):
        await mandates.terminate(mandate, market.consumer)


async def test_bill__that_missed_a_use_is_made_good_before_it_is_closed(scene) -> None:
    """The attestors do not agree to a bill that has less than theirs."""
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate(threshold=10_000)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    database, mine = Database(scene.stack.settings.database), Subscription.subscriber == mandate.id
    old = await passed_over(scene, market, mandate)
    await market.use("map")
    result = await ended(market, mandate, handle, after=5)
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 600)
    assert [each.price for each in await market.uses(mandate)] == [600]
    assert await market.has() == [99_400, 600]
    async with database.read() as session:
        assert (await session.exec(select(Subscription).where(mine))).one().id != old.id
    await database.close()


async def passed_over(scene, market, mandate) -> Subscription:
    """The watch passes over the next blocks, as it never should; its row of the mandate, once there is one."""
    database, mine = Database(scene.stack.settings.database), Subscription.subscriber == mandate.id
    try:
        async with scene.rpc(market.data) as rpc, asyncio.timeout(30):
            while True:
                async with database.write() as session:
                    if row := (await session.exec(select(Subscription).where(mine))).first():
                        row.next_block = await rpc.quantity("eth_blockNumber") + 16
                        session.add(row)
                        return row
                await asyncio.sleep(0.05)
    finally:
        await database.close()


async def test_two_mandates__on_the_same_event_are_billed_each(scene) -> None:
    market = await Market.open(scene, map=600)
    mandates = [await market.mandate(threshold=500), await market.mandate(threshold=500, tariff=Tariff(per_event=700))]
    handles = [await market.start(each) for each in mandates]
    for handle in handles:
        await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    for handle, price in zip(handles, (600, 700), strict=True):
        await until(handle, lambda now, price=price: now.progress.settled == price)
    assert await market.has() == [80_000, 1300]


async def test_tariff_overflow__pays_what_came_before_and_no_more(scene) -> None:
    market = await Market.open(scene, map=600, monster=2**90)
    mandate = await market.mandate(tariff=Tariff(tiers=(Tier(up_to=600, price=1), Tier(price=10**9))))
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "monster", "map")
    result = await handle.result()
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 600)
    assert await market.has() == [99_400, 600]


async def test_authorization__for_another_chain_locks_nothing(scene) -> None:
    market = await Market.open(scene)
    mandate = await market.mandate()
    handle = await market.start(mandate, market.authorization(mandate, symbol="B"))
    result = await handle.result()
    assert result.state is BillState.EXPIRED
    assert "signed by the leg's payer" in result.progress.reason or "cannot be locked" in result.progress.reason
    assert await market.has() == [100_000, 0]


async def test_start__what_cannot_work_is_refused_before_anything_is_signed(scene) -> None:
    market, mandates = await Market.open(scene), scene.stack.client.mandates
    with pytest.raises(InsufficientFunds, match="payer"):
        await mandates.start(await market.mandate(cap=100_001), market.consumer)
    with pytest.raises(InvalidInput, match="end"):
        await mandates.start(await market.mandate(end=in_seconds(-5)), market.consumer)
    with pytest.raises(InvalidInput, match="expiry"):
        await mandates.start(await market.mandate(expiry=in_seconds(400 * 86400)), market.consumer)
    with pytest.raises(NotEntitled):
        await mandates.start(await market.mandate(), market.provider)


async def test_cancellation__by_the_engine_breaks_nothing_off(scene) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate()
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await handle.cancel()
    await until(handle, lambda now: now.progress.reason == "only the consumer can end it")
    await market.use("map")
    await until(handle, lambda now: now.progress.uses == 1)
    result = await ended(market, mandate, handle)
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 600)


async def test_expiry__returns_it_all_if_nobody_can_say_what_is_due(scene) -> None:
    async with asyncio.timeout(150):
        await asyncio.gather(without_a_quorum(scene), without_the_data_chain(scene))


async def without_a_quorum(scene) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate(end=in_seconds(6), expiry=in_seconds(70), threshold=100)
    handle = await market.start(mandate, attestors=("alice", "nobody", "noone"))
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    result = await handle.result()
    assert (result.state, result.progress.settled) == (BillState.RECLAIMED, 0)
    assert await market.has() == [100_000, 0]


async def without_the_data_chain(scene) -> None:
    """Neither following it, nor a dispute that waits for its node, outlasts the mandate."""
    market = await Market.open(scene)
    usage = (await market.usage()).model_copy(update={"chain": "eip155:404"})
    mandate = await market.mandate(usage=usage, dispute_window=1, end=in_seconds(6), expiry=in_seconds(70))
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("dispute", dispute(mandate, Position(block=1), market.consumer))
    assert await market.has() == [90_000, 0]
    assert (await handle.result()).state is BillState.RECLAIMED
    assert await market.has() == [100_000, 0]


async def test_statement__tells_each_use_and_what_paid_for_it(scene, tmp_path, capsys) -> None:
    market = await Market.open(scene, map=600, table=150)
    mandates, mandate = scene.stack.client.mandates, await market.mandate(dispute_window=8, threshold=100, period=2)
    await mandates.start(mandate, market.consumer)
    assert await mandates.start(mandate, market.consumer) == mandate  # twice is once
    handle = scene.stack.client.engine.temporal.get_workflow_handle(mandate.id)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    receipt = await market.use("table", "map", "table")
    await until(handle, lambda now: now.progress.uses == 3)
    uses = [use async for use in mandates.uses(mandate.id)]
    await mandates.dispute(mandate.id, uses[1].at, market.consumer)
    with pytest.raises(NotEntitled):
        await mandates.terminate(mandate, market.provider)
    await mandates.terminate(mandate, market.consumer, in_seconds(2))
    result = await mandates.result(mandate, 90)
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 300)
    assert (mandate, BillState.CLOSED) in await mandates.list()

    told = await mandates.statement(mandate.id)
    assert [(line.status, line.use.price, line.use.total) for line in told.lines] == [
        (Status.PAID, 150, 150),
        (Status.DISPUTED, 600, 750),
        (Status.PAID, 150, 900),
    ]
    assert {line.use.transaction for line in told.lines} == {receipt["transactionHash"]}
    assert {line.settled_in for line in told.lines} == {None, told.settlements[0].transaction}
    assert (sum(each.paid for each in told.settlements), told.settlements[-1].returned) == (300, 9700)

    network = str(scene.stack.devnet.network_file)
    code = await asyncio.to_thread(main, ["bills", "show", mandate.id, "--json", "--network", network])
    printed = json.loads(capsys.readouterr().out)
    assert (code, printed["mandate_id"]) == (0, mandate.id)
    assert [line["use"]["price"] for line in printed["lines"]] == ["150", "600", "150"]
    for command in (["show", mandate.id], ["list"]):
        assert await asyncio.to_thread(main, ["bills", *command, "--network", network]) == 0
        assert mandate.id in capsys.readouterr().out
