"""Do the records tell of this deal, in an order it allows, from its beginning to its end?"""

from collections.abc import Iterator

from connectionchain.audit.entries import agreed
from connectionchain.audit.report import Check, Finding, attempt
from connectionchain.audit.trust import Trust
from connectionchain.certificate import Outcome
from connectionchain.deal import Deal
from connectionchain.evidence import EvidenceRecord, Kind
from connectionchain.export import Export
from connectionchain.tlog.errors import BadProof

Lives = list[tuple[Kind, ...]]

_BY_DECISION = (Kind.RELEASED, Kind.REFUNDED)
_PAYING = (Kind.METERED, Kind.CLOSED)
_UNDECIDED: Lives = [(), (Kind.CANCELLED,), (Kind.LOCKED, Kind.RECLAIMED)]
_LIVES: dict[Outcome | None, Lives] = {
    Outcome.COMMIT: [(Kind.LOCKED, Kind.RELEASED)],
    Outcome.ABORT: [*_UNDECIDED, (Kind.LOCKED, Kind.REFUNDED)],
    None: _UNDECIDED,
}
"""What a leg goes through, by the deal's outcome."""


def check_deal(export: Export, trust: Trust) -> Iterator[Finding]:
    """Each record is about a leg of this deal, or a lock of this mandate, with its token, amount and escrow id."""
    for n, each in enumerate(export.records):
        yield from attempt(Check.DEAL, f"records.{n}", _of_deal, each.record, export, trust)


def check_order(export: Export, trust: Trust) -> Iterator[Finding]:
    """On each chain the records of a leg follow its blocks, and nothing is released before everything is locked."""
    released = False
    last: dict[int, tuple[int, int]] = {}
    for n, record in export.standing:
        step = record.step
        place = (step.block.number, step.log_index)
        if place <= last.get(step.leg, (-1, -1)):
            what = f"leg {step.leg} was {step.kind} in block {place[0]}, before its earlier record"
            yield Finding(check=Check.ORDER, where=f"records.{n}", what=what)
        if step.kind is Kind.LOCKED and released:
            what = f"leg {step.leg} was locked after another leg was released"
            yield Finding(check=Check.ORDER, where=f"records.{n}", what=what)
        last[step.leg] = place
        released |= step.kind is Kind.RELEASED


def check_complete(export: Export, trust: Trust) -> Iterator[Finding]:
    """Each leg went through what the decision demands: all are released, or none."""
    assert isinstance(export.deal, Deal)
    outcome = export.certificate.outcome if export.certificate else None
    basis = f"by the decision to {outcome}" if outcome else "without a decision"
    for leg in range(len(export.deal.legs)):
        life = tuple(record.step.kind for _, record in export.standing if record.step.leg == leg)
        if life not in _LIVES[outcome]:
            allowed = " or ".join(map(_told, _LIVES[outcome]))
            what = f"leg {leg} was {_told(life)}; {basis} it is {allowed}"
            yield Finding(check=Check.COMPLETE, where="records", what=what)
    if not export.records:
        yield Finding(check=Check.COMPLETE, where="records", what="there are none")


def _of_deal(record: EvidenceRecord, export: Export, trust: Trust) -> None:
    step = record.step
    _same("deal", record.deal, export.deal.id)
    entry = agreed(export, step.leg)
    _same("chain", step.chain, entry.token.chain)
    _same("token", record.token, entry.token)
    _same("amount", record.amount, entry.terms.amount if step.paid is None else step.paid)
    _same("escrow_id", record.escrow_id, entry.id(trust))
    certified = export.certificate.attestors if export.certificate and step.kind in _BY_DECISION else ()
    if step.kind not in _PAYING and not set(record.attestors) <= set(certified):
        raise BadProof(f"names {', '.join(record.attestors)}, who did not sign the certificate", field="attestors")


def _same(field: str, said: object, expected: object) -> None:
    if said != expected:
        raise BadProof(f"is {said}, expected {expected}", field=field)


def _told(life: tuple[Kind, ...]) -> str:
    return " and ".join(life) or "never locked"
