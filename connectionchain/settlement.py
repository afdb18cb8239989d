"""What is said to and by the settlement workflow: its start, its messages, its state and its result."""

from enum import StrEnum

from pydantic import Field

from connectionchain.authorization import Authorization
from connectionchain.certificate import Certificate
from connectionchain.deal import Deal
from connectionchain.errors import InvalidInput
from connectionchain.evidence import Step
from connectionchain.ids import Hex32
from connectionchain.model import Model, Time
from connectionchain.statements import Statement

WORKFLOW = "Settlement"
TASK_QUEUE = "contracts"


class State(StrEnum):
    """The life of a deal.

    AWAITING_AUTHORIZATION -> LOCKING    every payer has authorised his leg
                           -> EXPIRED    cancelled or decide_by passed before that: nothing was locked
    LOCKING   -> LOCKED      every lock is final
              -> ABORTING    a leg cannot be locked, cancelled, or decide_by passed
    LOCKED    -> COMMITTING  the condition holds
              -> ABORTING    cancelled, or decide_by passed
    COMMITTING -> SETTLED    every leg is released
              -> ABORTING    no quorum for the commit by decide_by, or its facts were refused
              -> LOCKED      a confirmation was refused as forged: waiting for a true one
    ABORTING  -> REFUNDED    every locked leg went back by decision
              -> RECLAIMED   no quorum before expiry: at least one leg went back by reclaim
    """

    AWAITING_AUTHORIZATION = "AwaitingAuthorization"
    LOCKING = "Locking"
    LOCKED = "Locked"
    COMMITTING = "Committing"
    ABORTING = "Aborting"
    SETTLED = "Settled"
    REFUNDED = "Refunded"
    RECLAIMED = "Reclaimed"
    EXPIRED = "Expired"

    @property
    def undecided(self) -> bool:
        """Whether parties still have a say."""
        return self in (State.AWAITING_AUTHORIZATION, State.LOCKING, State.LOCKED)

    @property
    def terminal(self) -> bool:
        return self in (State.SETTLED, State.REFUNDED, State.RECLAIMED, State.EXPIRED)


class LegAuthorization(Model):
    """The authorisation of leg number `leg`."""

    leg: int = Field(ge=0, lt=16)
    authorization: Authorization


class SettlementStart(Model):
    """Input of the workflow: a deal, the authorisations known so far, and whom to ask for the decision
    (attestors by name, `threshold` of them must agree; the escrow contract has the last word on who counts).
    A deal that is taken up again after its workflow was lost brings what was confirmed and decided before."""

    deal: Deal
    authorizations: tuple[LegAuthorization, ...] = ()
    confirmations: tuple[Statement, ...] = ()
    certificate: Certificate | None = None
    attestors: tuple[str, ...] = Field(min_length=1)
    threshold: int = Field(ge=1)


class Explanation(Model):
    """Where a deal stands: its state, what it waits for, until when, what comes next, and what was done."""

    deal: Hex32
    state: State
    waiting_for: tuple[str, ...] = ()
    deadline: Time | None = None
    next_action: str = ""
    reason: str = ""
    steps: tuple[Step, ...] = ()
    certificate: Certificate | None = None
    confirmations: tuple[Statement, ...] = ()


def check_leg(deal: Deal, leg: int) -> None:
    if leg >= len(deal.legs):
        raise InvalidInput(
            f"the deal has no leg {leg}", field="leg", remedy=f"legs are numbered 0 to {len(deal.legs) - 1}"
        )
