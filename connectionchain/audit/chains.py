"""Do the chains tell what the records say?"""

from collections.abc import Iterator, Mapping

from connectionchain.audit.report import Check, Finding, attempt
from connectionchain.audit.trust import Trust
from connectionchain.deal import Deal
from connectionchain.escrow import Terms
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.export import Export
from connectionchain.receipts import EscrowEvent, Proven, escrow_events
from connectionchain.tlog.errors import BadProof

Known = Mapping[tuple[str, str], Proven]


def check_transactions(export: Export, trust: Trust) -> Iterator[Finding]:
    """Every transaction is proven under its header; every standing record's is there, in the block the record names,
    and the escrow's event in its receipt is the record's."""
    proven: dict[tuple[str, str], Proven] = {}
    for n, each in enumerate(export.transactions):
        try:
            shown = each.verify()
        except BadProof as error:
            yield Finding(check=Check.TRANSACTION, where=f"transactions.{n}", what=str(error))
            continue
        if (each.chain, shown.transaction) in proven:
            yield Finding(check=Check.TRANSACTION, where=f"transactions.{n}", what="is there twice")
        proven[each.chain, shown.transaction] = shown
    yield from _unused(export, proven)
    for n, record in export.standing:
        yield from _check_record(f"records.{n}", record, export.deal, proven, trust)


def _check_record(where: str, record: EvidenceRecord, deal: Deal, known: Known, trust: Trust) -> list[Finding]:
    shown = known.get((record.step.chain, record.step.transaction))
    if shown is None:
        what = f"no proof of transaction {record.step.transaction} is in the file"
        return [Finding(check=Check.TRANSACTION, where=where, what=what)]
    found = attempt(Check.TRANSACTION, where, _same_block, record, shown)
    return found + attempt(Check.EVENT, where, _same_event, record, shown, deal, trust)


def _same_block(record: EvidenceRecord, shown: Proven) -> None:
    if record.step.block != shown.block:
        raise BadProof(f"is {shown.block}, the record says {record.step.block}", field="block")
    if not shown.receipt.succeeded:
        raise BadProof("was reverted", field="transaction")


def _same_event(record: EvidenceRecord, shown: Proven, deal: Deal, trust: Trust) -> None:
    events = escrow_events(shown.receipt, trust.escrow(record.step.chain).address)
    match [each for each in events if (each.kind, each.id) == (record.step.kind, record.escrow_id)]:
        case [event]:
            _same_terms(record, event, deal)
        case _:
            raise BadProof(f"the escrow did not say {record.step.kind} of {record.escrow_id}", field="receipt")


def _same_terms(record: EvidenceRecord, event: EscrowEvent, deal: Deal) -> None:
    """A log index counts within the block, of which only one receipt is proven: it has a lower bound."""
    if record.step.log_index < event.position:
        raise BadProof(f"is {record.step.log_index}, at least {event.position} logs come before", field="log_index")
    leg = deal.legs[record.step.leg] if record.step.leg < len(deal.legs) else None
    if record.step.kind is Kind.LOCKED and leg and leg.chain == record.step.chain:
        terms = Terms.of(deal, leg)
        if event.terms != terms:
            raise BadProof(f"locked {event.terms}, the deal says {terms}", field="event")


def _unused(export: Export, proven: Known) -> Iterator[Finding]:
    named = {(record.step.chain, record.step.transaction) for _, record in export.standing}
    for chain, transaction in proven.keys() - named:
        what = f"{transaction} of {chain} belongs to no record"
        yield Finding(check=Check.TRANSACTION, where="transactions", what=what)
