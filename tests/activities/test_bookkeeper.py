"""The bookkeeper of a data chain says what is due, and sees to it that a living mandate is followed."""

import pytest
from eth_account import Account

from activities.bookkeeper import Bookkeeper
from activities.orders import HoldOrder, ReckonOrder
from connectionchain.billing import dispute
from connectionchain.events import Position
from ledger.database import Database
from ledger.subscriptions import Subscriptions
from tests.activities.test_watch import CHAIN, mandate
from tests.ledger.test_usage import PRICE, billed, priced


@pytest.fixture
async def database(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
    await database.create()
    yield database
    await database.close()


async def test_reckon__follows_again_whom_the_watch_took_for_ended(database) -> None:
    """The watch may have found no workflow to tell just before the mandate was taken up again."""
    subscriptions, lost = Subscriptions(database), mandate()
    row = await subscriptions.subscribe(lost.id, lost.usage, lost)
    await subscriptions.unsubscribe(lost.id)
    assert await subscriptions.waiting(CHAIN, 99) == {}
    due = await Bookkeeper(database).reckon(ReckonOrder(mandate=lost, entries=(100,)))
    assert (due.payable, due.final) == (0, False)
    (followed,) = await subscriptions.waiting(CHAIN, 99)
    assert followed != row.id  # nothing was on its bill, so it begins anew


async def test_reckon__holds_back_only_what_the_workflow_has_a_signature_for(database) -> None:
    """A dispute written down while its workflow gave up waiting would hold up the end: no attestor knows of it."""
    wanted, bookkeeper = priced(dispute_window=10), Bookkeeper(database)
    await billed(database, wanted)
    order = ReckonOrder(mandate=wanted, entries=(10**9,))
    due = (await bookkeeper.reckon(order)).through.block
    said = [dispute(wanted, Position(block=block), Account.create()) for block in (due, due + 1)]
    await bookkeeper.hold(HoldOrder(mandate=wanted, use=said[1].use))
    assert (await bookkeeper.reckon(order)).payable == due * PRICE
    known = order.model_copy(update={"disputes": (said[0],)})
    assert (await bookkeeper.reckon(known)).payable == (due - 1) * PRICE
