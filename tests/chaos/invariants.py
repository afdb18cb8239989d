"""What must hold after any storm, asked of the chains themselves, then of the evidence and the engine."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from connectionchain import Deal, Explanation, State, onchain
from connectionchain.billing import BillState
from connectionchain.bills import PAYING
from connectionchain.escrow import call
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.onchain import Entry
from connectionchain.rpc import Rpc
from ledger import evidence
from ledger.database import Database
from tests.chaos.bills import Account, bills, of_mandate
from tests.chaos.deals import EXPECTED, Played
from tests.chaos.mandates import MandateScript
from tests.chaos.states import undocumented, way
from tests.chaos.storm import Aftermath
from tests.chaos.violation import Violation
from tests.chaos.world import PEOPLE, World

TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
_AT_ONCE = 16


Balances = dict[tuple[str, str], int]
"""Base units by (token id, address); the total supply stands under the address ""."""


async def balances(world: World, scripts: Sequence[MandateScript]) -> Balances:
    """What everybody of the storm and every escrow holds."""
    people = [world.devnet.keys[who] for who in PEOPLE]
    people += [key for script in scripts for key in (script.consumer, script.provider)]
    found: Balances = {}
    for token in world.network.tokens.values():
        chain = world.network.chain(token.id.chain)
        holders = [chain.escrow_address, *(key.address.lower() for key in people)]
        async with Rpc(chain) as rpc:
            supply = await rpc.read(token.id.address, call("totalSupply()"))
            found[token.id, ""] = int(supply, 16)
            for holder in holders:
                found[token.id, holder] = int(await rpc.read(token.id.address, call("balanceOf(address)", holder)), 16)
    return found


async def violations(world: World, after: Aftermath, accounts: Sequence[Account], before: Balances) -> list[Violation]:
    """Everything that is not as promised. `accounts` are those of the mandates, in order."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def entries(deal: Deal) -> tuple[Entry, ...]:
        async with limit:
            return (await onchain.record(world.network, deal)).entries

    deals, scripts = [each.deal for each in after.played], [each.script for each in after.metered]
    entered = dict(zip([d.id for d in deals], await asyncio.gather(*map(entries, deals)), strict=True))
    found: list[Violation] = []
    for played in after.played:
        found += _of_deal(played, entered[played.deal.id], after.ends[played.deal.id])
    for metered, each in zip(after.metered, accounts, strict=True):
        found += of_mandate(metered, each, after.bills[metered.mandate.id])
        entered[metered.mandate.id] = each.entries
    expected = _expected(after, accounts, entered, before)
    found += _money(expected, await balances(world, scripts))
    found += [each async for each in _transfers(world, deals, entered)]
    found += [each async for each in _evidence(world, entered)]
    found += [each async for each in bills(world, after.metered, accounts)]
    found += [each async for each in _ways(world, after)]
    found += [each async for each in _orphans(world)]
    return found


def _of_deal(played: Played, entries: Sequence[Entry], end: Explanation | str) -> Iterator[Violation]:
    """Ended as such a deal may end; every entry terminal and final; all of them released, or none; each moved once."""
    deal = played.deal.id
    if isinstance(end, str):
        yield Violation("every deal ends", deal, end)
    elif end.state not in EXPECTED[played.script.kind]:
        yield Violation("nothing but time and the parties decides", deal, f"{end.state}: {end.reason}")
    kinds = [[event.kind for event in entry.events] for entry in entries]
    for entry, each in zip(entries, kinds, strict=True):
        if entry.open or not all(event.final for event in entry.events):
            yield Violation("every escrow entry is terminal", deal, f"leg {entry.leg} is {entry.status.name}")
        if len(each) > 2:
            yield Violation("nobody is paid twice", deal, f"leg {entry.leg}: {', '.join(each)}")
    released = [Kind.RELEASED in each for each in kinds]
    if any(released) and not (all(released) and len(released) == len(played.deal.legs)):
        yield Violation("all legs are released or none is", deal, f"legs: {kinds}")
    if not isinstance(end, str) and (end.state is State.SETTLED) != any(released):
        yield Violation("the deal's end is the chains' end", deal, f"{end.state}, but legs are {kinds}")


def _expected(
    after: Aftermath,
    accounts: Sequence[Account],
    entered: Mapping[str, Sequence[Entry]],
    before: Balances,
) -> Counter[tuple[str, str]]:
    """What everybody should have: after the releases of deals and the uses of mandates."""
    expected = Counter(before)
    for deal in (each.deal for each in after.played):
        for entry in entered[deal.id]:
            if entry.events[-1].kind is Kind.RELEASED and entry.leg is not None:
                leg = deal.legs[entry.leg]
                expected[leg.token, leg.payer.address] -= leg.amount
                expected[leg.token, leg.payee.address] += leg.amount
    for metered, found in zip(after.metered, accounts, strict=True):
        mandate = metered.mandate
        expected[mandate.token, mandate.consumer.address] -= found.due
        expected[mandate.token, mandate.provider.address] += found.due
    return expected


def _money(expected: Counter[tuple[str, str]], now: Balances) -> Iterator[Violation]:
    """Supplies are what they were, escrows are empty, and everybody has what follows, to the unit."""
    for (token, who), amount in now.items():
        if amount != expected[token, who]:
            promise = "balances follow from releases and uses" if who else "total supply is conserved"
            yield Violation(promise, "", f"{token} {who}: {amount}, not {expected[token, who]}")


async def _transfers(
    world: World, deals: Sequence[Deal], entered: Mapping[str, Sequence[Entry]]
) -> AsyncIterator[Violation]:
    """What the tokens say left the escrow for each account is what the escrow's events say."""
    told: Counter[tuple[str, str]] = Counter()
    for deal in deals:
        for entry in entered[deal.id]:
            last, leg = entry.events[-1].kind, deal.legs[entry.leg or 0]
            if last is not Kind.LOCKED:
                to = leg.payee if last is Kind.RELEASED else leg.payer
                told[leg.token, to.address] += leg.amount
    for token in world.network.tokens.values():
        paid = await _paid_out(world, token.id.chain, token.id.address)
        for who in PEOPLE:
            address = world.devnet.keys[who].address.lower()
            if paid[address] != told[token.id, address]:
                found = f"{token.symbol} to {who}: {paid[address]}, not {told[token.id, address]}"
                yield Violation("transfers equal events", "", found)


async def _paid_out(world: World, chain_id: str, token: str) -> Counter[str]:
    chain = world.network.chain(chain_id)
    topics = [TRANSFER, "0x" + chain.escrow_address[2:].rjust(64, "0")]
    query = {"address": token, "topics": topics, "fromBlock": hex(chain.escrow_block), "toBlock": "latest"}
    paid: Counter[str] = Counter()
    async with Rpc(chain) as rpc:
        for log in await rpc.call("eth_getLogs", query):
            paid["0x" + log["topics"][2][-40:]] += decode(["uint256"], bytes.fromhex(log["data"][2:]))[0]
    return paid


async def _evidence(world: World, entered: Mapping[str, Sequence[Entry]]) -> AsyncIterator[Violation]:
    """One record for each event, with its transaction, block and chain time; and none besides."""
    database = Database(world.ledger)
    for deal, entries in entered.items():
        async with database.read() as session:
            written = Counter(_recorded(each) for each in await evidence.records(session, deal))
        happened = Counter(each for entry in entries for each in _happened(entry))
        if written != happened:
            missing, surplus = list(happened - written), list(written - happened)
            yield Violation("evidence equals the chain", deal, f"missing {missing}, too much {surplus}")
    await database.close()


def _recorded(record: EvidenceRecord) -> tuple[object, ...]:
    step = record.step
    return (
        record.escrow_id,
        step.kind.value,
        step.transaction,
        step.block.model_dump_json(),
        step.log_index,
        record.amount,
    )


def _happened(entry: Entry) -> Iterator[tuple[object, ...]]:
    paid = 0
    for event in entry.events:
        paid += event.paid
        yield (
            entry.id,
            event.kind.value,
            event.transaction,
            event.block.model_dump_json(),
            event.log_index,
            paid if event.kind in PAYING else entry.terms.amount,
        )


async def _ways(world: World, after: Aftermath) -> AsyncIterator[Violation]:
    """From state to state a deal or mandate took only the exits that the state enum documents."""
    ids: list[tuple[str, type[State] | type[BillState]]] = [(each.deal.id, State) for each in after.played]
    ids += [(each.mandate.id, BillState) for each in after.metered]
    for id_, states in ids:
        if strange := undocumented(await way(world, id_, states), states):
            yield Violation("states have the exits they document", id_, str(strange))


async def _orphans(world: World) -> AsyncIterator[Violation]:
    """No deal's or mandate's workflow runs any more, and none ended in any other way than completing."""
    query = "WorkflowType IN ('Settlement', 'Billing') AND ExecutionStatus != 'Completed'"
    async for each in world.client.engine.temporal.list_workflows(query):
        yield Violation("no orphan workflow", each.id, str(each.status and each.status.name))
