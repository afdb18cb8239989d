"""What is due of a bill, found by halving, is what reading all of it would find."""

from datetime import timedelta
from itertools import product, takewhile

import pytest

from connectionchain.billing import UsesWanted
from connectionchain.errors import TooLate, UnknownName
from connectionchain.events import Position
from connectionchain.mandate import Mandate
from connectionchain.sieve import Log, Match
from connectionchain.tariff import Tariff
from ledger.database import Database
from ledger.subscriptions import Subscriptions, advance
from ledger.usage import append, disputable, dispute, disputed, reckon, uses
from tests.activities.test_watch import START, block, mandate

USES, PRICE = 37, 3


def priced(**terms) -> Mandate:
    return mandate(tariff=Tariff(per_event=PRICE), units=None, **terms)


async def billed(database: Database, wanted: Mandate) -> None:
    """One use in each block from 1 to USES, a second after the other."""
    row = await Subscriptions(database).subscribe(wanted.id, wanted.usage, wanted)
    async with database.write() as session:
        await append(session, row.id, wanted, [use(n) for n in range(1, USES + 1)])
        await advance(session, [row.id], USES + 1, block(USES).time)


def use(number: int) -> Match:
    """In the block of that number."""
    at = block(number)
    return Match(Log("", (), "", number, 0, at.hash, at.hash, int(at.time.timestamp())), {})


@pytest.mark.parametrize("window", [0, 1, 10, 100])
async def test_due__is_what_all_uses_say(database, window) -> None:
    wanted = priced(dispute_window=window)
    await billed(database, wanted)
    for cap, cutoff in product((0, PRICE, 50, PRICE * USES, 10**9), (0, 1, 20, USES, 1000)):
        async with database.write() as session:
            row = await Subscriptions(database).of(session, wanted.id)
            due = await reckon(session, row, wanted, cap, START + timedelta(seconds=cutoff), [])
        before = [n for n in range(1, USES + 1) if n < cutoff]
        ripe = list(takewhile(lambda n, cap=cap: n * PRICE <= cap and n <= USES - window, before))
        assert due.payable == PRICE * len(ripe)
        assert due.through == Position(block=ripe[-1] if ripe else 0)
        assert due.exhausted == (PRICE * len(before) > cap)


async def test_dispute__holds_back_its_own_price(database) -> None:
    wanted = priced(dispute_window=10)
    await billed(database, wanted)
    async with database.write() as session:
        row = await Subscriptions(database).of(session, wanted.id)
        await disputable(session, row, wanted, Position(block=30))
        with pytest.raises(UnknownName):
            await disputable(session, row, wanted, Position(block=30, log_index=1))
        with pytest.raises(TooLate):
            await disputable(session, row, wanted, Position(block=27))
        for number in (20, 30):  # the second is not payable anyway
            await dispute(session, row, Position(block=number))
        held = await disputed(session, row)
        due = await reckon(session, row, wanted, 10**9, START + timedelta(days=1), held)
    assert {each.block for each in held} == {20, 30}
    assert due.payable == PRICE * (27 - 1)
    assert [use.number for use in await uses(database, UsesWanted(mandate=wanted.id)) if use.disputed] == [20, 30]


async def test_page__follows_page(database) -> None:
    wanted = priced()
    await billed(database, wanted)
    pages = [await uses(database, UsesWanted(mandate=wanted.id, after=after, limit=20)) for after in (0, 20, 40)]
    assert [len(page) for page in pages] == [20, 17, 0]
    assert [use.total for page in pages for use in page] == [PRICE * n for n in range(1, USES + 1)]
