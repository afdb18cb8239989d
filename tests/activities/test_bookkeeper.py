"""The bookkeeper of a data chain says what is due, and sees to it that a living mandate is followed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from eth_account import Account
from sqlalchemy.exc import NoResultFound

from activities.bookkeeper import Bookkeeper
from activities.orders import HoldOrder, ReckonOrder
from adapters.base import Look
from connectionchain.billing import UsesWanted, dispute
from connectionchain.events import EventFilter, Position
from ledger.database import Database
from ledger.subscriptions import Subscriptions
from ledger.usage import append, disputed, uses
from tests.activities.test_watch import CHAIN, mandate
from tests.ledger.test_usage import PRICE, USES, billed, priced, use


@pytest.fixture
async def database(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
    await database.create()
    yield database
    await database.close()


@dataclass
class Uses:
    """A chain with a use in each block from 1 to `number`, some blocks at a time."""

    number: int

    async def events(self, _filters: Sequence[EventFilter], first: int, last: int) -> Look:
        last = min(last, first + 9)
        return Look(last, [[use(n) for n in range(max(1, first), last + 1) if n <= self.number]])


async def test_reckon__follows_again_whom_the_watch_took_for_ended(database) -> None:
    """The watch may have found no workflow to tell just before the mandate was taken up again."""
    subscriptions, lost = Subscriptions(database), mandate()
    row = await subscriptions.subscribe(lost.id, lost.usage, lost)
    await subscriptions.unsubscribe(lost.id)
    assert await subscriptions.waiting(CHAIN, 99) == {}
    due = await Bookkeeper(Uses(0), database).reckon(ReckonOrder(mandate=lost, entries=(100,)))
    assert (due.payable, due.final) == (0, False)
    (followed,) = await subscriptions.waiting(CHAIN, 99)
    assert followed != row.id  # nothing was on its bill, so it begins anew


async def test_reckon__holds_back_only_what_the_workflow_has_a_signature_for(database) -> None:
    """A dispute written down while its workflow gave up waiting would hold up the end: no attestor knows of it."""
    wanted, bookkeeper = priced(dispute_window=10), Bookkeeper(Uses(USES), database)
    await billed(database, wanted)
    order = ReckonOrder(mandate=wanted, entries=(10**9,))
    due = (await bookkeeper.reckon(order)).through.block
    said = [dispute(wanted, Position(block=block), Account.create()) for block in (due, due + 1)]
    await bookkeeper.hold(HoldOrder(mandate=wanted, use=said[1].use))
    assert (await bookkeeper.reckon(order)).payable == due * PRICE
    known = order.model_copy(update={"disputes": (said[0],)})
    assert (await bookkeeper.reckon(known)).payable == (due - 1) * PRICE


async def test_doubt__counts_again_and_leaves_a_bill_that_is_right(database) -> None:
    wanted = priced(dispute_window=10)
    await billed(database, wanted)
    order = ReckonOrder(mandate=wanted, entries=(10**9,), doubted=True)
    due = await Bookkeeper(Uses(USES), database).reckon(order)
    assert due == await Bookkeeper(Uses(USES), database).reckon(order.model_copy(update={"doubted": False}))
    assert len(await uses(database, UsesWanted(mandate=wanted.id))) == USES


@pytest.mark.parametrize("there", [0, USES - 1])
async def test_doubt__begins_a_bill_anew_that_is_not_what_the_chain_says(database, there) -> None:
    wanted = priced(dispute_window=10)
    await billed(database, wanted)
    subscriptions, bookkeeper, held = Subscriptions(database), Bookkeeper(Uses(there), database), Position(block=30)
    await bookkeeper.hold(HoldOrder(mandate=wanted, use=held))
    async with database.read() as session:
        old = await subscriptions.of(session, wanted.id)
    due = await bookkeeper.reckon(ReckonOrder(mandate=wanted, entries=(10**9,), doubted=True))
    assert (due.payable, due.final) == (0, False)
    assert await uses(database, UsesWanted(mandate=wanted.id)) == []
    async with database.read() as session:
        row = await subscriptions.of(session, wanted.id)
        assert await disputed(session, row) == [held]
    assert (row.next_block, row.count, row.mandate, row.chain) == (wanted.usage.since, 0, old.mandate, old.chain)
    assert row.id != old.id
    async with database.write() as session:  # the watch was on its way with the old one
        with pytest.raises(NoResultFound):
            await append(session, old.id, wanted, [use(USES + 1)])
