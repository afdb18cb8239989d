"""Ethereum's encodings of what a node tells in JSON, and transaction proofs made from them.

Nothing is believed: a header must hash to the block's hash, and the tries must have the header's roots.
Sources: Ethereum Yellow Paper, section 4.3; EIPs 155, 658, 1559, 2718, 2930, 4844, 7702.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import rlp
from eth_utils.crypto import keccak

from connectionchain import trie
from connectionchain.ids import ChainId
from connectionchain.receipts import Header, TransactionProof
from connectionchain.tlog.errors import BadProof

Json = Mapping[str, Any]

_HEADER = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("#difficulty", "#number", "#gasLimit", "#gasUsed", "#timestamp", "extraData", "mixHash", "nonce"),
)
# Each fork appends to the last: London, Shanghai, Cancun (three), Prague.
_LATER = (
    "#baseFeePerGas",
    "withdrawalsRoot",
    "#blobGasUsed",
    "#excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
)
_CALL = ("#gas", "to", "#value", "input")
_SIGNED = ("#yParity", "#r", "#s")
_TRANSACTIONS = {
    0: ("#nonce", "#gasPrice", *_CALL, "#v", "#r", "#s"),
    1: ("#chainId", "#nonce", "#gasPrice", *_CALL, "accessList", *_SIGNED),
    2: ("#chainId", "#nonce", "#maxPriorityFeePerGas", "#maxFeePerGas", *_CALL, "accessList", *_SIGNED),
    3: (
        *("#chainId", "#nonce", "#maxPriorityFeePerGas", "#maxFeePerGas", *_CALL, "accessList"),
        *("#maxFeePerBlobGas", "blobVersionedHashes", *_SIGNED),
    ),
    4: (
        *("#chainId", "#nonce", "#maxPriorityFeePerGas", "#maxFeePerGas", *_CALL, "accessList"),
        *("authorizationList", *_SIGNED),
    ),
}


def transaction_proof(chain: ChainId, block: Json, receipts: Sequence[Json], transaction: str) -> TransactionProof:
    """From `eth_getBlockByHash` with full transactions and `eth_getBlockReceipts`, for the transaction of this hash.

    Raises BadProof if the node contradicts itself, or speaks of a fork or transaction type not known here.
    """
    header = encode_header(block)
    roots = Header.decode(header)
    transactions = [encode_transaction(each) for each in block["transactions"]]
    index = _index(transactions, transaction)
    return TransactionProof(
        chain=chain,
        index=index,
        header=_hex(header),
        receipt=_proof("receipts", roots.receipts_root, [encode_receipt(each) for each in receipts], index),
        transaction=_proof("transactions", roots.transactions_root, transactions, index),
    )


def encode_header(block: Json) -> bytes:
    """The header's RLP; BadProof unless its hash is the block's."""
    names = (*_HEADER, *(name for name in _LATER if block.get(name.removeprefix("#")) is not None))
    encoded: bytes = rlp.encode(_fields(block, names))
    if _hex(keccak(encoded)) != block["hash"]:
        raise BadProof(f"hashes to {keccak(encoded).hex()}, not {block['hash']}", field="header")
    return encoded


def encode_receipt(receipt: Json) -> bytes:
    """As in the receipts trie: legacy, or typed with its type before."""
    logs = [
        [_raw(log["address"]), [_raw(topic) for topic in log["topics"]], _raw(log["data"])] for log in receipt["logs"]
    ]
    fields = [*_fields(receipt, ("#status", "#cumulativeGasUsed", "logsBloom")), logs]
    return _typed(int(receipt.get("type", "0x0"), 16), fields)


def encode_transaction(transaction: Json) -> bytes:
    """As in the transactions trie, and as its hash is taken of."""
    kind = int(transaction.get("type", "0x0"), 16)
    if kind not in _TRANSACTIONS:
        raise BadProof(f"type {kind} is not known", field=f"transaction {transaction['hash']}")
    return _typed(kind, _fields(transaction, _TRANSACTIONS[kind]))


def _proof(what: str, root: bytes, values: Sequence[bytes], index: int) -> tuple[str, ...]:
    items = trie.numbered(values)
    if trie.root(items) != root:
        raise BadProof(f"have root {trie.root(items).hex()}, not {root.hex()}", field=what)
    return tuple(map(_hex, trie.prove(items, rlp.encode(index))))


def _index(transactions: Sequence[bytes], hash_: str) -> int:
    hashes = [_hex(keccak(each)) for each in transactions]
    if hash_ not in hashes:
        raise BadProof("is not in the block", field=f"transaction {hash_}")
    return hashes.index(hash_)


def _typed(kind: int, fields: list[Any]) -> bytes:
    prefix = bytes([kind]) if kind else b""
    return prefix + bytes(rlp.encode(fields))


def _fields(source: Json, names: Sequence[str]) -> list[Any]:
    """`#` marks a quantity, which RLP writes without leading zeroes."""
    return [_quantity(source[name[1:]]) if name.startswith("#") else _field(name, source.get(name)) for name in names]


def _field(name: str, value: Any) -> Any:
    if name == "accessList":
        return [[_raw(each["address"]), [_raw(key) for key in each["storageKeys"]]] for each in value]
    if name == "authorizationList":
        names = ("#chainId", "address", "#nonce", *_SIGNED)
        return [_fields(each, names) for each in value]
    if isinstance(value, list):
        return [_raw(each) for each in value]
    return _raw(value or "0x")


def _quantity(value: str) -> bytes:
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8)


def _raw(value: str) -> bytes:
    return bytes.fromhex(value[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
