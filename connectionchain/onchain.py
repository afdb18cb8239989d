"""What the chains alone can tell of a deal, with every server of ours dead: its escrow entries and what became of them.

`record` is the transaction record of the paper's Figure 4: transaction id and chain timestamp of each step, per chain.
Source: the events of contracts/src/IEscrowTypes.sol.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from eth_abi.abi import decode

from connectionchain.errors import Unavailable
from connectionchain.escrow import Status, Terms, decode_lock, lock_of_call
from connectionchain.escrow_events import TOPICS, status_after
from connectionchain.evidence import Block, Kind
from connectionchain.ids import ChainId, Hex32
from connectionchain.mandate import Agreement, number_of
from connectionchain.model import Model
from connectionchain.money import AmountOrZero
from connectionchain.network import Chain, Network
from connectionchain.rpc import NodeError, Rpc

OUTCOMES = {"0x" + topic.hex(): kind for topic, kind in TOPICS.items() if kind is not Kind.LOCKED}
LOCKED = next("0x" + topic.hex() for topic, kind in TOPICS.items() if kind is Kind.LOCKED)


class Event(Model):
    """One step in an entry's life; `paid` went to the payee with it, `returned` to the payer (base units)."""

    kind: Kind
    transaction: Hex32
    block: Block
    log_index: int
    final: bool
    paid: AmountOrZero = 0
    returned: AmountOrZero = 0


class Entry(Model):
    """One escrow entry as its chain tells it. `leg`, or the number of the lock of a mandate, is known if the deal is,
    and None for a stranger's entry: anybody may lock his own money in the name of a deal."""

    id: Hex32
    chain: ChainId
    leg: int | None = None
    terms: Terms
    events: tuple[Event, ...]

    @property
    def status(self) -> Status:
        return status_after(self.events[-1].kind)

    @property
    def open(self) -> bool:
        return self.status in (Status.LOCKED, Status.METERED)


class Record(Model):
    """The entries of a deal on all chains that answered; `silent` are the others."""

    deal: Hex32
    entries: tuple[Entry, ...]
    silent: tuple[ChainId, ...] = ()


async def status(rpc: Rpc, terms: Terms) -> Status:
    """An entry's status at the newest block."""
    return decode_lock(await rpc.read(rpc.chain.escrow_address, lock_of_call(terms)))


async def record(network: Network, deal: Agreement | str) -> Record:
    """What every chain of the network knows of a deal or mandate. With itself rather than its id, only its own legs or
    locks are listed, by number. Raises Unavailable if no chain answers."""
    chains = tuple(network.chains.values())
    found = await asyncio.gather(*(_of_chain(chain, deal) for chain in chains), return_exceptions=True)
    entries: list[Entry] = []
    silent: dict[ChainId, Unavailable] = {}
    for chain, answer in zip(chains, found, strict=True):
        if isinstance(answer, Unavailable):
            silent[chain.id] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            entries += answer
    if len(silent) == len(chains):
        raise next(iter(silent.values()))
    return Record(deal=_id(deal), entries=tuple(entries), silent=tuple(silent))


async def _of_chain(chain: Chain, deal: Agreement | str) -> list[Entry]:
    async with Rpc(chain) as rpc:
        found = await entries(rpc, _id(deal))
    if isinstance(deal, str):
        return found
    numbered = [(entry, number_of(deal, entry.chain, entry.terms)) for entry in found]
    return [entry.model_copy(update={"leg": number}) for entry, number in numbered if number is not None]


async def entries(rpc: Rpc, deal: str) -> list[Entry]:
    """The entries of one chain's escrow that name the deal, found by the deal's topic alone, oldest first."""
    final = (await rpc.final_block()).number
    newest = await rpc.quantity("eth_blockNumber")
    escrow = rpc.chain.escrow_address
    locks = await logs(rpc, escrow, [LOCKED, None, deal], rpc.chain.escrow_block, newest)
    if not locks:
        return []
    ids = [log["topics"][1] for log in locks]
    outcomes = await logs(rpc, escrow, [list(OUTCOMES), ids], int(locks[0]["blockNumber"], 16), newest)
    hashes = {log["blockHash"] for log in locks + outcomes}
    blocks = {hash_: await rpc.block(hash_) for hash_ in hashes}
    return [
        _entry(rpc.chain, lock, [log for log in outcomes if log["topics"][1] == id_], blocks, final)
        for id_, lock in zip(ids, locks, strict=True)
    ]


async def logs(rpc: Rpc, contract: str, topics: Sequence[Any], first: int, last: int) -> list[dict[str, Any]]:
    """Events of a contract in these blocks. A node that finds the range too long is asked for its halves."""
    where = {"address": contract, "topics": topics}
    try:
        return list(await rpc.call("eth_getLogs", where | {"fromBlock": hex(first), "toBlock": hex(last)}))
    except NodeError:
        if first >= last:
            raise
    middle = (first + last) // 2
    return await logs(rpc, contract, topics, first, middle) + await logs(rpc, contract, topics, middle + 1, last)


def _entry(chain: Chain, lock: Any, outcomes: Iterable[Any], blocks: dict[str, Block], final: int) -> Entry:
    terms = _terms(lock)
    events, paid = [_event(Kind.LOCKED, lock, blocks, final, 0, 0)], 0
    for log in outcomes:
        kind = OUTCOMES[log["topics"][0]]
        total, returned = _split(kind, log["data"], terms.amount, paid)
        events.append(_event(kind, log, blocks, final, total - paid, returned))
        paid = total
    return Entry(id=lock["topics"][1], chain=chain.id, terms=terms, events=tuple(events))


def _split(kind: Kind, data: str, amount: int, paid: int) -> tuple[int, int]:
    """What the payee has in all after the event, and what the payer got back with it."""
    match kind:
        case Kind.RELEASED:
            return amount, 0
        case Kind.METERED | Kind.CLOSED:
            cumulative, second = decode(["uint256", "uint256"], bytes.fromhex(data[2:]))
            return cumulative, second if kind is Kind.CLOSED else 0
        case Kind.REFUNDED | Kind.RECLAIMED:
            return paid, amount - paid
        case _:
            return paid, 0


def _event(kind: Kind, log: Any, blocks: dict[str, Block], final: int, paid: int, returned: int) -> Event:
    block = blocks[log["blockHash"]]
    return Event(
        kind=kind,
        transaction=log["transactionHash"],
        block=block,
        log_index=int(log["logIndex"], 16),
        final=block.number <= final,
        paid=paid,
        returned=returned,
    )


def _terms(lock: Any) -> Terms:
    _, _, deal, payer = lock["topics"]
    payee, token, amount, expiry = decode(["address", "address", "uint256", "uint256"], bytes.fromhex(lock["data"][2:]))
    return Terms(payer="0x" + payer[-40:], payee=payee, token=token, amount=amount, expiry=expiry, deal=deal)


def _id(deal: Agreement | str) -> str:
    return deal if isinstance(deal, str) else deal.id
