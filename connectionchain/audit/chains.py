"""Do the chains tell what the records say?"""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from connectionchain.audit.entries import agreed
from connectionchain.audit.report import Check, Finding, attempt
from connectionchain.audit.trust import Trust
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.export import Export
from connectionchain.receipts import EscrowEvent, Proven, escrow_events
from connectionchain.tlog.errors import BadProof

Known = Mapping[tuple[str, str], Proven]


def check_transactions(export: Export, trust: Trust) -> Iterator[Finding]:
    """Every transaction is proven under its header; every standing record's is there, in the block the record names,
    and the escrow's event in its receipt is the record's."""
    known: dict[tuple[str, str], Proven] = {}
    for n, each in enumerate(export.transactions):
        try:
            shown = each.verify()
        except BadProof as error:
            yield Finding(check=Check.TRANSACTION, where=f"transactions.{n}", what=str(error))
            continue
        if (each.chain, shown.transaction) in known:
            yield Finding(check=Check.TRANSACTION, where=f"transactions.{n}", what="is there twice")
        known[each.chain, shown.transaction] = shown
    yield from _unused(export, known)
    for n, record in export.standing:
        yield from _check_record(f"records.{n}", record, export, known, trust)


def proven(export: Export) -> Known:
    """The transactions of which the proof holds."""
    found = dict[tuple[str, str], Proven]()
    for each in export.transactions:
        with suppress(BadProof):
            shown = each.verify()
            found[each.chain, shown.transaction] = shown
    return found


def _check_record(where: str, record: EvidenceRecord, export: Export, known: Known, trust: Trust) -> list[Finding]:
    shown = known.get((record.step.chain, record.step.transaction))
    if shown is None:
        what = f"no proof of transaction {record.step.transaction} is in the file"
        return [Finding(check=Check.TRANSACTION, where=where, what=what)]
    found = attempt(Check.TRANSACTION, where, _same_block, record, shown)
    return found + attempt(Check.EVENT, where, _same_event, record, shown, export, trust)


def _same_block(record: EvidenceRecord, shown: Proven) -> None:
    if record.step.block != shown.block:
        raise BadProof(f"is {shown.block}, the record says {record.step.block}", field="block")
    if not shown.receipt.succeeded:
        raise BadProof("was reverted", field="transaction")


def _same_event(record: EvidenceRecord, shown: Proven, export: Export, trust: Trust) -> None:
    step, events = record.step, escrow_events(shown.receipt, trust.escrow(record.step.chain).address)
    said = step.kind, record.escrow_id, step.paid
    match [each for each in events if (each.kind, each.id, each.paid) == said]:
        case [event]:
            _same_terms(record, event, export)
        case _:
            so_far = f", {step.paid} paid in all" if step.paid is not None else ""
            raise BadProof(f"the escrow did not say {step.kind} of {record.escrow_id}{so_far}", field="receipt")


def _same_terms(record: EvidenceRecord, event: EscrowEvent, export: Export) -> None:
    """A log index counts within the block, of which only one receipt is proven: it has a lower bound."""
    if record.step.log_index < event.position:
        raise BadProof(f"is {record.step.log_index}, at least {event.position} logs come before", field="log_index")
    if record.step.kind is Kind.LOCKED:
        terms = agreed(export, record.step.leg).terms
        if event.terms != terms:
            raise BadProof(f"locked {event.terms}, the deal says {terms}", field="event")


def _unused(export: Export, proven: Known) -> Iterator[Finding]:
    named = {(record.step.chain, record.step.transaction) for _, record in export.standing}
    for chain, transaction in proven.keys() - named:
        what = f"{transaction} of {chain} belongs to no record"
        yield Finding(check=Check.TRANSACTION, where="transactions", what=what)
