"""The escrow entries that a file is about: a deal's legs, or the locks of a mandate."""

from typing import NamedTuple

from connectionchain.audit.trust import Trust
from connectionchain.escrow import Terms
from connectionchain.evidence import Kind
from connectionchain.export import Export
from connectionchain.ids import TokenId
from connectionchain.mandate import MOST_ENTRIES, Mandate
from connectionchain.tlog.errors import BadProof


class Agreed(NamedTuple):
    """An entry as the parties agreed on it."""

    token: TokenId
    terms: Terms

    def id(self, trust: Trust) -> str:
        return self.terms.id(trust.escrow(self.token.chain))


def agreed(export: Export, number: int) -> Agreed:
    """Leg or lock `number`. Raises BadProof if there is none."""
    deal = export.deal
    if isinstance(deal, Mandate):
        return Agreed(deal.token, deal.entry(number, deal.cap if number == 0 else _top_up(export, number)))
    if number >= len(deal.legs):
        raise BadProof(f"is {number}, the deal has {len(deal.legs)}", field="leg")
    return Agreed(deal.legs[number].token, Terms.of(deal, deal.legs[number]))


def _top_up(export: Export, number: int) -> int:
    """Its amount is not in the mandate: the lock's record says it, and the chain's event must bear it out."""
    steps = ((each.record.step, each.record.amount) for each in export.records)
    amount = next((amount for step, amount in steps if (step.leg, step.kind) == (number, Kind.LOCKED)), 0)
    if number >= MOST_ENTRIES or not amount:
        raise BadProof(f"is {number}, which no record says was locked", field="leg")
    return amount
