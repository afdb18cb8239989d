"""What a block header proves: a transaction, its receipt, and the escrow events in it. No node is asked here.

Sources: Ethereum Yellow Paper, section 4.3 (block header, receipt); EIP-2718 (typed transactions and receipts);
EIP-658 (status); the events of contracts/src/IEscrowTypes.sol.
"""

from dataclasses import dataclass
from typing import Any

import rlp
from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak
from pydantic import Field

from connectionchain import trie
from connectionchain.escrow import Terms
from connectionchain.escrow_events import TOPICS
from connectionchain.evidence import Block, Kind
from connectionchain.ids import ChainId, Hex
from connectionchain.model import Model, chain_time
from connectionchain.tlog.errors import BadProof


@dataclass(frozen=True)
class Header:
    """The parts of a block header that are used here; `block` has its hash, number and time."""

    block: Block
    transactions_root: bytes
    receipts_root: bytes

    @classmethod
    def decode(cls, encoded: bytes) -> "Header":
        """From RLP. Later forks add fields at the end, which the hash covers too. Raises BadProof."""
        fields = trie.decode(encoded, "header")
        if not isinstance(fields, list) or len(fields) < 15 or not all(isinstance(each, bytes) for each in fields):
            raise BadProof("is not a list of at least 15 strings", field="header")
        if (len(fields[4]), len(fields[5])) != (32, 32) or max(len(fields[8]), len(fields[11])) > 5:
            raise BadProof("has a root, number or time of a wrong length", field="header")
        number, time = int.from_bytes(fields[8]), int.from_bytes(fields[11])
        if time >= 2**36:
            raise BadProof(f"has a time too far ahead, {time} s", field="header")
        block = Block(number=number, hash="0x" + keccak(encoded).hex(), time=chain_time(time))
        return cls(block, fields[4], fields[5])


@dataclass(frozen=True)
class Log:
    """One event as a receipt holds it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction: `type` 0 is the legacy form."""

    type: int
    succeeded: bool
    logs: tuple[Log, ...]

    @classmethod
    def decode(cls, encoded: bytes) -> "Receipt":
        """From its form in the receipts trie, legacy or typed. Raises BadProof."""
        kind = _type(encoded)
        fields = trie.decode(encoded[1:] if kind else encoded, "receipt")
        match fields:
            case [b"" | b"\x01" as status, bytes(), bytes(), list() as logs]:
                return cls(kind, status == b"\x01", tuple(map(_log, logs)))
        raise BadProof("is not status, gas, bloom and logs (EIP-658)", field="receipt")


def _log(fields: Any) -> Log:
    match fields:
        case [bytes() as address, list() as topics, bytes() as data] if len(address) == 20:
            if all(isinstance(topic, bytes) and len(topic) == 32 for topic in topics):
                return Log("0x" + address.hex(), tuple(topics), data)
    raise BadProof("has a log that is not address, topics and data", field="receipt")


@dataclass(frozen=True)
class Proven:
    """What a transaction proof shows, if its block is on the chain. `raw` is the signed transaction."""

    block: Block
    raw: bytes
    receipt: Receipt

    @property
    def transaction(self) -> str:
        """The transaction's hash."""
        return "0x" + keccak(self.raw).hex()

    @property
    def call_data(self) -> bytes:
        """What the transaction carried. Raises BadProof for a type not known here."""
        fields = trie.decode(self.raw[1:] if _type(self.raw) else self.raw, "transaction")
        at = _CALL_DATA.get(_type(self.raw), -1)
        if not isinstance(fields, list) or not 0 <= at < len(fields) or not isinstance(fields[at], bytes):
            raise BadProof(f"of type {_type(self.raw)} is not known", field="transaction")
        return bytes(fields[at])


_CALL_DATA = {0: 5, 1: 6, 2: 7, 3: 7, 4: 7}
"""Which field it is in each transaction type."""


class TransactionProof(Model):
    """A transaction of `chain`, number `index` in its block: the block's header (RLP), and the trie nodes that lead to
    the receipt and to the transaction, from the root down; the last node of each holds the thing itself."""

    chain: ChainId
    index: int = Field(ge=0)
    header: Hex
    receipt: tuple[Hex, ...]
    transaction: tuple[Hex, ...]

    def verify(self) -> Proven:
        """Raises BadProof unless both lie under the header's roots."""
        header = Header.decode(_bytes(self.header))
        key = rlp.encode(self.index)
        receipt = trie.verify(header.receipts_root, key, [_bytes(node) for node in self.receipt])
        transaction = trie.verify(header.transactions_root, key, [_bytes(node) for node in self.transaction])
        if _type(receipt) != _type(transaction):
            raise BadProof("is of another type than its transaction", field="receipt")
        return Proven(header.block, transaction, Receipt.decode(receipt))


@dataclass(frozen=True)
class EscrowEvent:
    """An escrow event at `position` among its receipt's logs; `terms` come with a lock only, and `paid`, what the payee
    has had in all, with a payment by mandate."""

    position: int
    kind: Kind
    id: str
    terms: Terms | None = None
    paid: int | None = None


def escrow_events(receipt: Receipt, escrow: str) -> list[EscrowEvent]:
    """The events of the contract at address `escrow`. Raises BadProof if one is malformed."""
    return [
        _event(position, log)
        for position, log in enumerate(receipt.logs)
        if log.address == escrow and log.topics and log.topics[0] in TOPICS
    ]


def _event(position: int, log: Log) -> EscrowEvent:
    kind = TOPICS[log.topics[0]]
    try:
        if kind is Kind.LOCKED:
            _, id_, deal, payer = log.topics
            return EscrowEvent(position, kind, "0x" + id_.hex(), _terms(deal, payer, log.data))
        _, id_ = log.topics
        paid = abi_decode(["uint256", "uint256"], log.data)[0] if kind in (Kind.METERED, Kind.CLOSED) else None
    except (ValueError, DecodingError) as error:
        raise BadProof(f"is not as the escrow writes it: {error}", field=f"event {kind}") from None
    return EscrowEvent(position, kind, "0x" + id_.hex(), paid=paid)


def _terms(deal: bytes, payer: bytes, data: bytes) -> Terms:
    payee, token, amount, expiry = abi_decode(["address", "address", "uint256", "uint256"], data)
    return Terms(
        payer="0x" + payer[-20:].hex(),
        payee=payee,
        token=token,
        amount=amount,
        expiry=expiry,
        deal="0x" + deal.hex(),
    )


def _type(encoded: bytes) -> int:
    return encoded[0] if encoded[:1] < b"\x80" else 0


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
