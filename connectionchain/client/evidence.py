"""Puts a deal's evidence into one file: from the log what was recorded, from the chains what proves it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from connectionchain import anchors, onchain
from connectionchain.bills import PAYING
from connectionchain.certificate import Certificate
from connectionchain.deal import Deal
from connectionchain.errors import Refused, Unavailable, UnknownName
from connectionchain.evidence import EvidenceRecord
from connectionchain.export import MOST_RECORDS, Anchor, Export, LoggedRecord, prove, transaction_proofs
from connectionchain.ids import ChainId
from connectionchain.mandate import Agreement
from connectionchain.network import Network
from connectionchain.published import PublishedLog
from connectionchain.rpc import Rpc
from connectionchain.tlog import lines
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key
from connectionchain.tlog.proof import LogProof

PATIENCE_SECONDS = 10
POLL_SECONDS = 0.25

Place = tuple[ChainId, str, int]


async def export(network: Network, deal: Agreement, certificate: Certificate | None = None) -> Export:
    """Every final step of the deal or mandate with its proofs. Raises UnknownName if no chain knows it, Refused if it
    had more steps than a file holds, Unavailable if the log, a node or a record is missing, BadProof if one of them
    contradicts itself."""
    async with AsyncExitStack() as stack:
        log = stack.enter_context(PublishedLog(network.evidence.url))
        nodes = {chain: await stack.enter_async_context(Rpc(network.chain(chain))) for chain in _chains(deal)}
        records = await _complete(log, deal, await _happened(network, deal))
        return Export(
            deal=deal,
            certificate=certificate,
            records=records,
            transactions=await transaction_proofs([each.record for each in records], nodes),
            anchors=await _anchors(log, nodes, records, Key.parse(network.evidence.key)),
        )


def _chains(deal: Agreement) -> tuple[ChainId, ...]:
    """Where its escrow entries are."""
    return deal.chains if isinstance(deal, Deal) else (deal.chain,)


async def _happened(network: Network, deal: Agreement) -> set[Place]:
    """What the chains say: the log alone could leave something out."""
    record = await onchain.record(network, deal)
    if silent := set(record.silent) & set(_chains(deal)):
        raise Unavailable(f"no node of {', '.join(silent)} answers", field="rpc", remedy="try again later")
    if not record.entries:
        raise UnknownName(f"no chain of the network knows {deal.id}", field="deal", remedy="check the network file")
    entries = [each for each in record.entries if _is_ours(each, deal)]
    events = [(entry.chain, event) for entry in entries for event in entry.events if event.final]
    if not events:
        raise Unavailable("nothing of it is final yet", field="deal", remedy="try again in a moment")
    return {(chain, event.transaction, event.log_index) for chain, event in events}


def _is_ours(entry: onchain.Entry, deal: Agreement) -> bool:
    """Anything of a deal, and the cap. A consumer may lock more in his mandate's name that nobody took for a top-up:
    it counts once it was paid from."""
    return isinstance(deal, Deal) or not entry.leg or any(event.kind in PAYING for event in entry.events)


async def _complete(log: PublishedLog, deal: Agreement, happened: set[Place]) -> tuple[LoggedRecord, ...]:
    """The deal's records as soon as they tell all that happened: what is final is logged a moment later."""
    for _attempt in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
        records = await log.records(deal.id)
        missing = happened - {_place(each.record) for each in records}
        if len(records) > MOST_RECORDS:
            raise Refused(f"{len(records)} steps are more than the {MOST_RECORDS} of a file", field="deal")
        if not missing:
            return records
        await asyncio.sleep(POLL_SECONDS)
    raise Unavailable(
        f"the log does not tell of {', '.join(sorted(f'{chain} {hash_}' for chain, hash_, _ in missing))}",
        field="log",
        remedy="run `connectionchain reconcile`, or try again later",
    )


def _place(record: EvidenceRecord) -> Place:
    return record.step.chain, record.step.transaction, record.step.log_index


async def _anchors(
    log: PublishedLog, nodes: Mapping[ChainId, Rpc], records: Sequence[LoggedRecord], key: Key
) -> tuple[Anchor, ...]:
    """On each chain the first checkpoint that covers the deal: the records were in the log by its block's time."""
    proof = LogProof.parse(records[-1].proof)
    shown = Checkpoint.parse(proof.checkpoint.text).size
    found = []
    for chain, node in nodes.items():
        blocks = [each.record.step.block.number for each in records if each.record.step.chain == chain]
        for each in await _covering(node, key, max(blocks, default=0), proof.index + 1, shown):
            transaction = await prove(node, chain, each.block, each.transaction)
            if _carries(transaction.verify().call_data, key):
                consistency = await log.consistency(each.checkpoint.size, shown)
                found.append(Anchor(transaction=transaction, consistency=tuple(map(lines.encode, consistency))))
                break
    return tuple(found)


async def _covering(node: Rpc, key: Key, since: int, size: int, shown: int) -> list[anchors.Posted]:
    if node.chain.anchor_address is None:
        return []
    last = (await node.final_block()).number
    posted = await anchors.posted(node, node.chain.anchor_address, key, since, last)
    return [each for each in posted if size <= each.checkpoint.size <= shown]


def _carries(call_data: bytes, key: Key) -> bool:
    """Not if another contract passed it on: then the transaction's own call data is something else."""
    try:
        anchors.opened(call_data, key)
    except BadProof:
        return False
    return True
