"""What must hold of every mandate after any storm: the provider has the price of the uses on the data chain, to the
unit, and the consumer the rest."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from connectionchain import onchain
from connectionchain.billing import Bill, BillState
from connectionchain.evidence import Kind
from connectionchain.onchain import Entry
from connectionchain.rpc import Rpc
from devnet.deploy import data_access
from ledger.database import Database
from ledger.subscriptions import Subscription
from ledger.usage import UseRow
from tests.chaos.mandates import Metered, price
from tests.chaos.violation import Violation
from tests.chaos.world import World

Used = tuple[str, int]
"""Transaction and log index of a use."""


@dataclass(frozen=True)
class Account:
    """What the chains say of one mandate: its uses in order, how many of them count and fit, its escrow entries."""

    uses: tuple[Used, ...]
    payable: int
    entries: tuple[Entry, ...]
    due: int


async def account(world: World, played: Metered, bill: Bill | str) -> Account:
    """Asked of the chains alone, but for when the consumer ended it."""
    said = None if isinstance(bill, str) else bill.progress.termination
    end = min(said.at, played.mandate.end) if said else played.mandate.end
    found = await _uses(world, played)
    counted = sum(time < end for _, time in found)
    fitting = [n for n in range(counted + 1) if price(n, played.script.size) <= played.script.cap]
    record = await onchain.record(world.network, played.mandate.id)
    entries = tuple(each for each in record.entries if each.terms.payer == played.mandate.consumer.address)
    due = price(fitting[-1], played.script.size)
    return Account(tuple(use for use, _ in found), fitting[-1], entries, due)


async def _uses(world: World, played: Metered) -> list[tuple[Used, datetime]]:
    """Every final use of this consumer with this provider, and when it was."""
    usage, script = played.mandate.usage, played.script
    topics = [usage.abi.topic, _word(script.consumer.address), _word(script.provider.address)]
    async with Rpc(world.network.chain(usage.chain)) as rpc:
        final = await rpc.final_block()
        logs = await onchain.logs(rpc, data_access(), topics, usage.since, final.number)
        times = {each["blockHash"]: (await rpc.block(each["blockHash"])).time for each in logs}
    return [((each["transactionHash"], int(each["logIndex"], 16)), times[each["blockHash"]]) for each in logs]


def _word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def of_mandate(played: Metered, found: Account, bill: Bill | str) -> Iterator[Violation]:
    """Ended as it should; its one entry is closed, finally, and has paid what is due, never back and forth."""
    id_, kinds = played.mandate.id, [[event.kind for event in entry.events] for entry in found.entries]
    if isinstance(bill, str) or bill.state is not BillState.CLOSED:
        yield Violation("every mandate ends closed", id_, bill if isinstance(bill, str) else f"{bill.state}: {bill}")
    elif bill.progress.settled != found.due:
        yield Violation("the bill is what was used", id_, f"{bill.progress.settled}, not {found.due}")
    closed = [kind[0] is Kind.LOCKED and kind[-1] is Kind.CLOSED for kind in kinds]
    final = all(event.final for entry in found.entries for event in entry.events)
    if closed != [True] or not final or any(set(kind[1:-1]) - {Kind.METERED} for kind in kinds):
        yield Violation("every escrow entry is terminal", id_, f"{kinds}, final: {final}")
    paid = sum(event.paid for entry in found.entries for event in entry.events)
    returned = sum(event.returned for entry in found.entries for event in entry.events)
    if (paid, returned) != (found.due, played.script.cap - found.due):
        yield Violation("billed once, to the unit", id_, f"{paid} and {returned} back, not {found.due} of all")


async def bills(world: World, all_played: Sequence[Metered], accounts: Sequence[Account]) -> AsyncIterator[Violation]:
    """The node's bill has each use once, in the chain's order, at least as far as is paid."""
    database = Database(world.ledger)
    for played, found in zip(all_played, accounts, strict=True):
        mine = select(Subscription.id).where(Subscription.subscriber == played.mandate.id).scalar_subquery()
        rows = select(UseRow).where(UseRow.subscription == mine).order_by(col(UseRow.number))
        async with database.read() as session:
            billed = [(row.transaction, row.log_index) for row in await session.exec(rows)]
        if billed != list(found.uses[: len(billed)]) or len(billed) < found.payable:
            yield Violation("each use is on the bill once", played.mandate.id, f"{billed}, not {found.uses}")
    await database.close()
