"""The events by which an escrow tells what happened to an entry. Source: contracts/src/IEscrowTypes.sol."""

from eth_utils.crypto import keccak

from connectionchain.escrow import Status
from connectionchain.evidence import Kind

TOPICS: dict[bytes, Kind] = {
    keccak(text="Locked(bytes32,bytes32,address,address,address,uint256,uint256)"): Kind.LOCKED,
    keccak(text="Released(bytes32)"): Kind.RELEASED,
    keccak(text="Refunded(bytes32)"): Kind.REFUNDED,
    keccak(text="Metered(bytes32,uint256,uint256)"): Kind.METERED,
    keccak(text="Closed(bytes32,uint256,uint256)"): Kind.CLOSED,
    keccak(text="Reclaimed(bytes32)"): Kind.RECLAIMED,
    keccak(text="Cancelled(bytes32)"): Kind.CANCELLED,
}
"""The first topic of each event. The second is the entry's id."""


def status_after(kind: Kind) -> Status:
    """The entry's status after the event."""
    return Status[kind.name]
