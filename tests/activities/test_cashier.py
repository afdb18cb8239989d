"""Evidence of a payment names those who signed for it, also if an earlier one is found along with it."""

from types import SimpleNamespace
from unittest.mock import AsyncMock

from activities.cashier import Cashier
from activities.orders import EntryOrder, MeterOrder
from connectionchain.billing import MeterAttestation
from connectionchain.escrow import EscrowContract
from connectionchain.evidence import Kind, Step
from ledger import evidence
from ledger.database import Database
from ledger.outbox import Outbox
from tests.activities.test_watch import CONTRACT, block, mandate

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b2" * 20


async def test_meter__an_earlier_payment_is_not_put_down_to_those_who_signed_this_one(tmp_path) -> None:
    of = mandate()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ledger.db")
    await database.create()
    outbox = Outbox(database, of.chain, ALICE)
    steps = [
        Step(leg=0, kind=Kind.METERED, chain=of.chain, transaction=at.hash, block=at, log_index=0, paid=paid)
        for at, paid in ((block(5), 300), (block(9), 700))
    ]
    chain = SimpleNamespace(history=AsyncMock(return_value=steps))
    cashier = Cashier(chain, EscrowContract(chain=of.chain, address=CONTRACT), outbox, AsyncMock())
    signed = MeterAttestation(attestor=BOB, signatures=("0x" + "01" * 64,))
    entry = EntryOrder(mandate=of, number=0, amount=of.cap)
    await cashier.meter(MeterOrder(entry=entry, cumulative=700, close=False, attestations=(signed,)))
    async with database.read() as session:
        records = await evidence.records(session, of.id)
    await database.close()
    assert [(each.step.paid, each.attestors) for each in records] == [(300, ()), (700, (BOB,))]
