"""Is the decision that of enough attestors?"""

from collections.abc import Iterator

from connectionchain.audit.report import Check, Finding
from connectionchain.audit.trust import Trust
from connectionchain.certificate import Attestation, settlement_typed_data, settlements
from connectionchain.deal import Deal
from connectionchain.evidence import Kind
from connectionchain.export import Export
from connectionchain.tlog.errors import BadProof
from connectionchain.typed_data import TypedData, expanded


def check_certificate(export: Export, trust: Trust) -> Iterator[Finding]:
    """At least `threshold` distinct attestors signed every settlement of this deal, and nobody else is named."""
    certificate, deal = export.certificate, export.deal
    assert isinstance(deal, Deal)
    if certificate is None:
        yield from _needless(export)
        return
    if len(certificate.attestations) > len(trust.attestors.members):
        yield _finding("certificate.attestations", f"are {len(certificate.attestations)}, more than you trust")
        return
    if certificate.deal != deal.id:
        yield _finding("certificate.deal", f"is {certificate.deal}, the deal is {deal.id}")
    for n, attestation in enumerate(certificate.attestations):
        try:
            _verify(attestation, deal, trust)
            if attestation.outcome is not certificate.outcome:
                raise BadProof(f"says {attestation.outcome}, the certificate says {certificate.outcome}")
        except BadProof as error:
            yield _finding(f"certificate.attestations.{n}", str(error))
    distinct = len(set(certificate.attestors))
    if distinct < len(certificate.attestors):
        yield _finding("certificate.attestations", "an attestor is named twice")
    if distinct < trust.attestors.threshold:
        yield _finding("certificate", f"{distinct} of the {trust.attestors.threshold} attestors needed signed")


def _verify(attestation: Attestation, deal: Deal, trust: Trust) -> None:
    if attestation.attestor not in trust.attestors.members.values():
        raise BadProof(f"{attestation.attestor} is not an attestor you trust")
    digests = _digests(attestation, deal, trust)
    if len(attestation.signatures) != len(digests):
        raise BadProof(f"has {len(attestation.signatures)} signatures, the deal has {len(digests)} settlements")
    for at, (signature, typed) in enumerate(zip(attestation.signatures, digests, strict=True)):
        if typed.signer_of(expanded(signature)) != attestation.attestor:
            raise BadProof(f"was not made by {attestation.attestor}", field=f"signature {at}")


def _digests(attestation: Attestation, deal: Deal, trust: Trust) -> list[TypedData]:
    parts = settlements(deal, attestation.outcome)
    return [settlement_typed_data(deal, part, attestation.outcome, trust.escrow(part.chain)) for part in parts]


def _needless(export: Export) -> Iterator[Finding]:
    for n, record in export.standing:
        if record.step.kind in (Kind.RELEASED, Kind.REFUNDED):
            yield _finding("certificate", f"is missing, but records.{n} is {record.step.kind} by decision")


def _finding(where: str, what: str) -> Finding:
    return Finding(check=Check.CERTIFICATE, where=where, what=what)
