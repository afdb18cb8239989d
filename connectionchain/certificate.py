"""Decisions, and the k attestor signatures over them that the escrow contract checks."""

from enum import StrEnum

from connectionchain.deal import Deal
from connectionchain.escrow import EscrowContract, Terms
from connectionchain.ids import ChainId, EvmAddress, Hex32, Hex64
from connectionchain.model import Model
from connectionchain.typed_data import TypedData


class Outcome(StrEnum):
    """One per deal, for ever: COMMIT releases every leg, ABORT refunds every leg."""

    COMMIT = "commit"
    ABORT = "abort"


class Settlement(Model):
    """The legs (by number) that one certificate settles in one transaction."""

    chain: ChainId
    legs: tuple[int, ...]


def settlements(deal: Deal, outcome: Outcome) -> tuple[Settlement, ...]:
    """How a decision is carried out: a commit releases all legs of a chain at once, netted by payee;
    an abort refunds each leg on its own, because some may never have been locked."""
    if outcome is Outcome.ABORT:
        return tuple(Settlement(chain=leg.chain, legs=(n,)) for n, leg in enumerate(deal.legs))
    return tuple(Settlement(chain=chain, legs=_payout_order(deal, chain)) for chain in deal.chains)


def _payout_order(deal: Deal, chain: ChainId) -> tuple[int, ...]:
    """Legs on `chain` grouped by token and payee in order of first appearance."""
    groups: dict[tuple[str, str], list[int]] = {}
    for n, leg in enumerate(deal.legs):
        if leg.chain == chain:
            groups.setdefault((leg.token, leg.payee), []).append(n)
    return tuple(n for group in groups.values() for n in group)


def settlement_typed_data(deal: Deal, settlement: Settlement, outcome: Outcome, escrow: EscrowContract) -> TypedData:
    """What each attestor signs for one settlement. Source: Escrow.sol `Settlement(uint8 outcome,bytes32[] ids)`."""
    ids = [Terms.of(deal, deal.legs[n]).id(escrow) for n in settlement.legs]
    return TypedData(
        escrow.domain,
        "Settlement",
        [("uint8", "outcome"), ("bytes32[]", "ids")],
        {"outcome": 1 if outcome is Outcome.COMMIT else 2, "ids": [bytes.fromhex(i[2:]) for i in ids]},
    )


class Attestation(Model):
    """One attestor's decision: a compact signature for each of `settlements(deal, outcome)`, in their order."""

    attestor: EvmAddress
    outcome: Outcome
    signatures: tuple[Hex64, ...]


class Certificate(Model):
    """k attestations of one decision on one deal."""

    deal: Hex32
    outcome: Outcome
    attestations: tuple[Attestation, ...]

    @property
    def attestors(self) -> tuple[str, ...]:
        return tuple(sorted(each.attestor for each in self.attestations))

    def signatures(self, deal: Deal, settlement: Settlement) -> list[str]:
        """For one settlement, ordered by signer as the contract demands."""
        at = settlements(deal, self.outcome).index(settlement)
        ordered = sorted(self.attestations, key=lambda each: each.attestor)
        return [each.signatures[at] for each in ordered]
