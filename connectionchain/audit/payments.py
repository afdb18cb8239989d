"""Was everything a mandate paid signed for by enough attestors, and is it over?"""

from collections.abc import Iterator

from connectionchain.audit.chains import proven
from connectionchain.audit.entries import agreed
from connectionchain.audit.report import Check, Finding, attempt
from connectionchain.audit.trust import Trust
from connectionchain.billing import metering_typed_data
from connectionchain.escrow import metering_in
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.export import Export
from connectionchain.mandate import MOST_ENTRIES, shares
from connectionchain.receipts import Proven
from connectionchain.tlog.errors import BadProof
from connectionchain.typed_data import expanded

_ENDS = (Kind.CLOSED, Kind.RECLAIMED)


def check_payments(export: Export, trust: Trust) -> Iterator[Finding]:
    """Each payment's transaction carries what at least `threshold` attestors signed: this lock, this amount in all."""
    if export.certificate is not None:
        yield Finding(check=Check.CERTIFICATE, where="certificate", what="is a deal's, this is a mandate")
    known = proven(export)
    for n, record in export.standing:
        shown = known.get((record.step.chain, record.step.transaction))
        if record.step.kind in (Kind.METERED, Kind.CLOSED) and shown:
            yield from attempt(Check.CERTIFICATE, f"records.{n}", _signed, record, shown, export, trust)


def _signed(record: EvidenceRecord, shown: Proven, export: Export, trust: Trust) -> None:
    step, entry = record.step, agreed(export, record.step.leg)
    paid, close = step.paid or 0, step.kind is Kind.CLOSED
    signatures = metering_in(shown.call_data, entry.terms, paid, close)
    if len(signatures) > len(trust.attestors.members):
        raise BadProof(f"has {len(signatures)} signatures, more than you trust", field="call data")
    typed = metering_typed_data(entry.id(trust), paid, close, trust.escrow(entry.token.chain))
    signers = {typed.signer_of(expanded(each)) for each in signatures} & set(trust.attestors.members.values())
    if len(signers) < trust.attestors.threshold:
        needed = trust.attestors.threshold
        raise BadProof(f"{len(signers)} of the {needed} attestors needed signed {paid} in all", field="call data")
    if not set(record.attestors) <= signers:
        raise BadProof(f"names {', '.join(record.attestors)}, who did not all sign", field="attestors")


def check_over(export: Export, trust: Trust) -> Iterator[Finding]:
    """The cap and every top-up was locked, paid from and ended; what was paid came from the first ones first."""
    locks = [[each for _, each in export.standing if each.step.leg == n] for n in range(_count(export))]
    if not locks:
        yield _incomplete("there are none")
    for number, lock in enumerate(locks):
        life = [record.step.kind for record in lock]
        ended = life[:1] == [Kind.LOCKED] and life[-1] in _ENDS and set(life[1:-1]) <= {Kind.METERED}
        if not ended:
            told = " and ".join(dict.fromkeys(life)) or "never locked"
            yield _incomplete(f"lock {number} was {told}; it is to be locked, and closed or reclaimed at the end")
    paid = [max([record.step.paid or 0 for record in lock], default=0) for lock in locks]
    amounts = [next((record.amount for record in lock if record.step.kind is Kind.LOCKED), 0) for lock in locks]
    if paid != shares(sum(paid), amounts):
        yield _incomplete(f"{paid} was paid of {amounts}: an earlier lock was not used up before a later one")


def _count(export: Export) -> int:
    return min(MOST_ENTRIES, max((record.step.leg + 1 for _, record in export.standing), default=0))


def _incomplete(what: str) -> Finding:
    return Finding(check=Check.COMPLETE, where="records", what=what)
