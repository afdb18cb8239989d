"""What workflows order from connection nodes and attestors, and the queues they are ordered on."""

from connectionchain.authorization import Authorization
from connectionchain.certificate import Certificate, Outcome, Settlement
from connectionchain.deal import Deal
from connectionchain.ids import ChainId
from connectionchain.model import Model
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
