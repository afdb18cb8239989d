"""Merkle-Patricia tries: a proof that a value lies under a key, checked and made.

Paths are strings of hex digits. Source: Ethereum Yellow Paper, appendices C (hex-prefix) and D (tries).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os.path import commonprefix
from typing import Any

import rlp
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException

from connectionchain.tlog.errors import BadProof

EMPTY_ROOT = keccak(rlp.encode(b""))
HASH = 32
DIGITS = "0123456789abcdef"


def verify(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes:
    """The value under `key` in the trie of this root. `proof` holds the nodes on the way, the root's first, without
    those embedded in their parent. Raises BadProof, also if a node is left over or nothing is under the key."""
    unused = list(proof)

    def next_node(hash_: bytes) -> bytes:
        if not unused:
            raise BadProof(f"ends before node {hash_.hex()}", field="trie proof")
        node = unused.pop(0)
        if keccak(node) != hash_:
            raise BadProof(f"has node {keccak(node).hex()}, expected {hash_.hex()}", field="trie proof")
        return node

    value = _walk(root, key, next_node)
    if unused:
        raise BadProof(f"has {len(unused)} nodes too many", field="trie proof")
    return value


def root(items: Mapping[bytes, bytes]) -> bytes:
    """The root of the trie that holds these values, none of which is empty."""
    return _build(items, {})


def prove(items: Mapping[bytes, bytes], key: bytes) -> list[bytes]:
    """The nodes from the root to `key`, for `verify`."""
    nodes: dict[bytes, bytes] = {}
    top = _build(items, nodes)
    proof: list[bytes] = []

    def noted(hash_: bytes) -> bytes:
        proof.append(nodes[hash_])
        return nodes[hash_]

    _walk(top, key, noted)
    return proof


def numbered(values: Iterable[bytes]) -> dict[bytes, bytes]:
    """Values under their index, as a block's transactions and receipts are kept."""
    return {rlp.encode(index): value for index, value in enumerate(values)}


def decode(data: bytes, what: str) -> Any:
    """RLP in its one canonical form; BadProof otherwise."""
    try:
        return rlp.decode(data)
    except (RLPException, RecursionError) as error:
        raise BadProof(f"is not RLP: {error}", field=what) from None


def _walk(top: bytes, key: bytes, fetch: Callable[[bytes], bytes]) -> bytes:
    path, reference = key.hex(), top
    while True:
        node = _resolve(reference, fetch)
        if len(node) == 17:
            if not path:
                return _value(node[16], key)
            reference, path = node[int(path[0], 16)], path[1:]
            continue
        part, is_leaf = _unpacked(node[0])
        if not path.startswith(part) or (is_leaf and path != part):
            raise BadProof(f"shows that nothing is under {key.hex()}", field="trie proof")
        if is_leaf:
            return _value(node[1], key)
        reference, path = node[1], path[len(part) :]


def _resolve(reference: Any, fetch: Callable[[bytes], bytes]) -> list[Any]:
    """The node meant by a hash, or embedded in place of one."""
    if reference == b"":
        raise BadProof("leads to an empty branch", field="trie proof")
    node = decode(fetch(reference), "trie node") if isinstance(reference, bytes) else reference
    if not isinstance(node, list) or len(node) not in (2, 17):
        empty = " of an empty trie" if node == b"" else ""
        raise BadProof(f"has a node{empty} that is no branch, extension or leaf", field="trie proof")
    return node


def _value(value: Any, key: bytes) -> bytes:
    if not isinstance(value, bytes) or not value:
        raise BadProof(f"shows that nothing is under {key.hex()}", field="trie proof")
    return value


def _unpacked(encoded: Any) -> tuple[str, bool]:
    """Path and leaf flag of a hex-prefix encoding; an extension must lead somewhere."""
    digits = encoded.hex() if isinstance(encoded, bytes) else ""
    flag, odd = (int(digits[0], 16), int(digits[0], 16) & 1) if digits else (4, 0)
    path = digits[1:] if odd else digits[2:]
    if flag > 3 or (not odd and digits[1] != "0") or (flag < 2 and not path):
        raise BadProof("has a node whose path is not in hex-prefix form", field="trie proof")
    return path, flag >= 2


def _packed(path: str, is_leaf: bool) -> bytes:
    odd = len(path) % 2
    return bytes.fromhex(f"{2 * is_leaf + odd}{'' if odd else '0'}{path}")


def _build(items: Mapping[bytes, bytes], nodes: dict[bytes, bytes]) -> bytes:
    return _stored(rlp.encode(_node({key.hex(): value for key, value in items.items()}, nodes)), nodes)


def _node(items: dict[str, bytes], nodes: dict[bytes, bytes]) -> Any:
    if not items:
        return b""
    if len(items) == 1:
        [(path, value)] = items.items()
        return [_packed(path, True), value]
    if shared := commonprefix(list(items)):  # noqa: RUF071 - digits, not path components
        return [_packed(shared, False), _child(items, shared, nodes)]
    return [*(_child(items, digit, nodes) for digit in DIGITS), items.get("", b"")]


def _child(items: dict[str, bytes], prefix: str, nodes: dict[bytes, bytes]) -> Any:
    """The node of all items below `prefix`: embedded if its RLP is shorter than a hash, else by hash."""
    below = {path[len(prefix) :]: value for path, value in items.items() if path.startswith(prefix)}
    node = _node(below, nodes)
    encoded = rlp.encode(node)
    return _stored(encoded, nodes) if len(encoded) >= HASH else node


def _stored(encoded: bytes, nodes: dict[bytes, bytes]) -> bytes:
    hash_: bytes = keccak(encoded)
    nodes[hash_] = encoded
    return hash_
