"""The escrow contract as the outside sees it: terms, ids, what is signed, and call data. No node is asked here.

Source: contracts/src/Escrow.sol (EIP-712 types and ABI), ERC-3009, ERC-2612.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from connectionchain.deal import Deal, Leg
from connectionchain.ids import ChainId, EvmAddress, Hex32
from connectionchain.model import Model
from connectionchain.money import Amount
from connectionchain.typed_data import TypedData

TERMS_FIELDS = [
    ("address", "payer"),
    ("address", "payee"),
    ("address", "token"),
    ("uint96", "amount"),
    ("uint40", "expiry"),
    ("bytes32", "deal"),
]
TERMS = "(address,address,address,uint96,uint40,bytes32)"
CERTIFICATE = "bytes32[2][]"


class Status(IntEnum):
    """An entry's status on chain: NONE -> LOCKED | CANCELLED; LOCKED -> METERED or one of the terminal ones."""

    NONE = 0
    LOCKED = 1
    METERED = 2
    RELEASED = 3
    REFUNDED = 4
    CLOSED = 5
    RECLAIMED = 6
    CANCELLED = 7


class EscrowContract(Model):
    """Where the escrow stands: it is the EIP-712 domain of everything signed for it."""

    chain: ChainId
    address: EvmAddress

    @property
    def domain(self) -> dict[str, Any]:
        return {
            "name": "ConnectionChain Escrow",
            "version": "1",
            "chainId": int(self.chain.reference),
            "verifyingContract": self.address,
        }


class Terms(Model):
    """One escrow entry: the leg of a deal as the contract knows it. `expiry` is in Unix seconds."""

    payer: EvmAddress
    payee: EvmAddress
    token: EvmAddress
    amount: Amount
    expiry: int
    deal: Hex32

    @classmethod
    def of(cls, deal: Deal, leg: Leg) -> "Terms":
        return cls(
            payer=leg.payer.address,
            payee=leg.payee.address,
            token=leg.token.address,
            amount=leg.amount,
            expiry=int(deal.expiry.timestamp()),
            deal=deal.id,
        )

    def typed_data(self, escrow: EscrowContract) -> TypedData:
        """What a payer signs to lock with ERC-2612; its digest is the entry's id."""
        message = {name: getattr(self, name) for _, name in TERMS_FIELDS}
        return TypedData(escrow.domain, "EscrowTerms", TERMS_FIELDS, message | {"deal": bytes.fromhex(self.deal[2:])})

    def id(self, escrow: EscrowContract) -> str:
        return self.typed_data(escrow).digest

    @property
    def row(self) -> tuple[str, str, str, int, int, bytes]:
        return self.payer, self.payee, self.token, self.amount, self.expiry, bytes.fromhex(self.deal[2:])


def call(signature: str, *values: Any) -> str:
    """Call data of a contract function, such as `reclaim((address,…))`."""
    types = _split(signature[signature.index("(") + 1 : -1])
    return "0x" + (keccak(text=signature)[:4] + encode(types, values)).hex()


def reclaim_call(terms: Terms) -> str:
    return call(f"reclaim({TERMS})", terms.row)


def lock_of_call(terms: Terms) -> str:
    return call(f"lockOf({TERMS})", terms.row)


def decode_lock(result: str) -> Status:
    return decode_metered(result)[0]


def decode_metered(result: str) -> tuple[Status, int]:
    """The status, and what a metered entry has paid so far."""
    status, _expiry, _amount, released = decode(["uint8", "uint40", "uint96", "uint96"], bytes.fromhex(result[2:]))
    return Status(status), released


def release_call(terms: Sequence[Terms], ids: Sequence[str], signatures: Sequence[str]) -> str:
    """`releaseBatch`, one payout per token and payee in order of first appearance (see `certificate.settlements`)."""
    payouts: dict[tuple[str, str], list[bytes]] = {}
    for each, id_ in zip(terms, ids, strict=True):
        payouts.setdefault((each.token, each.payee), []).append(bytes.fromhex(id_[2:]))
    rows = [(token, payee, entry_ids) for (token, payee), entry_ids in payouts.items()]
    return call(f"releaseBatch((address,address,bytes32[])[],{CERTIFICATE})", rows, certificate(signatures))


def refund_call(terms: Terms, signatures: Sequence[str]) -> str:
    return call(f"refund({TERMS},{CERTIFICATE})", terms.row, certificate(signatures))


def meter_call(terms: Terms, cumulative: int, signatures: Sequence[str], close: bool) -> str:
    verb = "close" if close else "meter"
    return call(f"{verb}({TERMS},uint96,{CERTIFICATE})", terms.row, cumulative, certificate(signatures))


def metering_in(call_data: bytes, terms: Terms, cumulative: int, close: bool) -> list[str]:
    """The compact signatures with which this call data, its own or passed on, meters the entry; none if it does not."""
    empty = bytes.fromhex(meter_call(terms, cumulative, [], close)[2:])
    _, found, rest = call_data.partition(empty[:-32])
    count = int.from_bytes(rest[:32]) if found else 0
    if len(rest) < 32 + 64 * count:
        return []
    return ["0x" + rest[at : at + 64].hex() for at in range(32, 32 + 64 * count, 64)]


def certificate(signatures: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Compact signatures, already ordered by signer, as the contract takes them."""
    halves = [bytes.fromhex(signature[2:]) for signature in signatures]
    return [(raw[:32], raw[32:]) for raw in halves]


def _split(types: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(types + ","):
        depth += (char in "([") - (char in ")]")
        if char == "," and not depth:
            parts.append(types[start:at])
            start = at + 1
    return list(filter(None, parts))
