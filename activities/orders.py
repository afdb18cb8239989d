"""What workflows order from connection nodes and attestors, and the queues they are ordered on."""

from pydantic import Field

from connectionchain.authorization import Authorization
from connectionchain.billing import Dispute, MeterAttestation, Termination
from connectionchain.certificate import Certificate, Outcome, Settlement
from connectionchain.deal import Deal
from connectionchain.events import EventFilter, Position
from connectionchain.ids import ChainId
from connectionchain.mandate import Mandate
from connectionchain.model import Model
from connectionchain.money import Amount, AmountOrZero
from connectionchain.statements import Statement


def node_queue(chain: ChainId) -> str:
    """The task queue of a chain's connection node."""
    return f"node.{chain}"


def attestor_queue(name: str) -> str:
    return f"attestor.{name}"


class LockOrder(Model):
    """Bring leg number `leg` into escrow."""

    deal: Deal
    leg: int
    authorization: Authorization


class ReleaseOrder(Model):
    """Pay out the legs of one settlement by a commit's certificate."""

    deal: Deal
    settlement: Settlement
    certificate: Certificate


class GiveBackOrder(Model):
    """Give one leg back: refund by an abort's certificate, or reclaim if there is none or expiry has come."""

    deal: Deal
    leg: int
    certificate: Certificate | None = None


class AttestOrder(Model):
    """Decide on a deal, on these statements of its parties and on whatever the chains say."""

    deal: Deal
    outcome: Outcome
    statements: tuple[Statement, ...] = ()


class SubscribeOrder(Model):
    """Tell the workflow `subscriber` of the events that pass `filter`: how many there are and, if `detailed`, what they
    say. Those of a `mandate` are priced and kept on its bill."""

    subscriber: str
    filter: EventFilter
    mandate: Mandate | None = None
    detailed: bool = False


class EntryOrder(Model):
    """Concerns entry `number` of a mandate, which locks `amount`. With an authorisation: lock it."""

    mandate: Mandate
    number: int
    amount: Amount
    authorization: Authorization | None = None


class HoldOrder(Model):
    """Hold the price of one use back."""

    mandate: Mandate
    use: Position


class CheckOrder(Model):
    """Did the consumer sign this?"""

    mandate: Mandate
    said: Termination | Dispute = Field(union_mode="left_to_right")


class ReckonOrder(Model):
    """What is payable under the sum of `entries`. `closing`: once nothing more will ever be. `doubted`: the attestors
    did not agree to the last answer; the bill is to be compared with the chain."""

    mandate: Mandate
    entries: tuple[Amount, ...]
    disputes: tuple[Dispute, ...] = ()
    termination: Termination | None = None
    closing: bool = False
    doubted: bool = False


class MeteringOrder(Model):
    """Sign that `total` of what is reckoned so was due, in all; with `reckon.closing`, and that no more will be."""

    reckon: ReckonOrder
    total: AmountOrZero


class MeterOrder(Model):
    """Pay the provider up to `cumulative` of one entry by these attestations; `close` gives the consumer the rest.
    What happened to the entry before block `since` is on record."""

    entry: EntryOrder
    cumulative: AmountOrZero
    close: bool
    attestations: tuple[MeterAttestation, ...]
    since: int = 0
