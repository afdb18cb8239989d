"""Who follows what: asked for twice it is one, given up and asked for again it goes on where it was."""

from ledger.subscriptions import Subscriptions, advance, move
from tests.activities.test_watch import CHAIN, filter_, mandate


async def counted(database, row, *, block: int, next_block: int, total: int) -> None:
    row.count, row.block, row.log_index, row.total = 1, block, 0, total
    async with database.write() as session:
        session.add(row)
        await move(session, row)
        await advance(session, [row.id], next_block, None)


async def test_subscribe__twice_is_once(database) -> None:
    subscriptions = Subscriptions(database)
    rows = [await subscriptions.subscribe("contract", filter_(since=5)) for _ in range(2)]
    assert rows[0].id == rows[1].id
    assert await subscriptions.waiting(CHAIN, 9) == {rows[0].id: 5}


async def test_subscribe__again_goes_on_from_the_newest_event_counted(database) -> None:
    subscriptions, billed = Subscriptions(database), mandate()
    row = await subscriptions.subscribe(billed.id, billed.usage, billed)
    await counted(database, row, block=7, next_block=20, total=3)
    await subscriptions.unsubscribe(billed.id)
    assert await subscriptions.waiting(CHAIN, 99) == {}
    again = await subscriptions.subscribe(billed.id, billed.usage, billed)
    assert (again.id, again.count, again.total) == (row.id, 1, 3)
    assert await subscriptions.waiting(CHAIN, 99) == {row.id: 7}


async def test_subscribe__again_before_any_event_begins_anew(database) -> None:
    subscriptions = Subscriptions(database)
    row = await subscriptions.subscribe("contract", filter_(since=5))
    await subscriptions.unsubscribe("contract")
    again = await subscriptions.subscribe("contract", filter_(since=5))
    assert await subscriptions.waiting(CHAIN, 99) == {again.id: 5}
    assert again.id != row.id
