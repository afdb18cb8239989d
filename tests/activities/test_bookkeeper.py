"""The bookkeeper of a data chain says what is due, and sees to it that a living mandate is followed."""

import pytest

from activities.bookkeeper import Bookkeeper
from activities.orders import ReckonOrder
from ledger.database import Database
from ledger.subscriptions import Subscriptions
from tests.activities.test_watch import CHAIN, mandate


@pytest.fixture
async def database(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
    await database.create()
    yield database
    await database.close()


async def test_reckon__follows_again_whom_the_watch_took_for_ended(database) -> None:
    """The watch may have found no workflow to tell just before the mandate was taken up again."""
    subscriptions, billed = Subscriptions(database), mandate()
    row = await subscriptions.subscribe(billed.id, billed.usage, billed)
    await subscriptions.unsubscribe(billed.id)
    assert await subscriptions.waiting(CHAIN, 99) == {}
    due = await Bookkeeper(database).reckon(ReckonOrder(mandate=billed, entries=(100,)))
    assert (due.payable, due.final) == (0, False)
    (followed,) = await subscriptions.waiting(CHAIN, 99)
    assert followed != row.id  # nothing was on its bill, so it begins anew
