"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion proofs and consistency proofs.

Trees are given as `Nodes`: a function that returns the hash of the complete subtree of height `level` number
`index`, so that the same code works on a list of leaves, on stored tiles and on tiles fetched from a server.
"""

import hashlib
from collections.abc import Callable, Sequence

from connectionchain.tlog.errors import BadProof

Nodes = Callable[[int, int], bytes]
HASH = 32
EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def nodes(leaf_hashes: Sequence[bytes]) -> Nodes:
    """The tree over these leaf hashes."""

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hashes[index]
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^n sibling hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def root(size: int, tree: Nodes) -> bytes:
    """The Merkle tree hash of the first `size` leaves."""
    return _range_hash(0, size, tree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, tree: Nodes) -> list[bytes]:
    """PATH(index, D[size]), from the leaf's sibling up. Source: RFC 6962, section 2.1.1."""
    _require(index < size, "index", f"leaf {index} is not in a tree of {size}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_hash(middle, end, tree))
            end = middle
        else:
            path.append(_range_hash(start, middle, tree))
            start = middle
    return path[::-1]


def consistency_proof(old_size: int, size: int, tree: Nodes) -> list[bytes]:
    """PROOF(old_size, D[size]); empty from an empty or equal tree. Source: RFC 6962, section 2.1.2."""
    _require(old_size <= size, "old size", f"a tree of {size} cannot extend one of {old_size}")
    start, end, path = 0, size, []
    while 0 < old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_range_hash(middle, end, tree))
            end = middle
        else:
            path.append(_range_hash(start, middle, tree))
            start = middle
    if start and path:
        path.append(_range_hash(start, end, tree))
    return path[::-1]


def verify_inclusion(entry_hash: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> None:
    """Raises BadProof unless `proof` leads from leaf number `index` to the root of a tree of `size`."""
    _require(0 <= index < size, "index", f"leaf {index} is not in a tree of {size}")
    _require(len(entry_hash) == HASH, "leaf hash", f"has {len(entry_hash)} bytes, not {HASH}")
    _same("inclusion proof", _root_of_path(entry_hash, index, size, proof), root_hash)


def verify_consistency(old_size: int, old_root: bytes, size: int, root_hash: bytes, proof: Sequence[bytes]) -> None:
    """Raises BadProof unless `proof` shows that the tree of `size` extends the tree of `old_size`."""
    _require(0 <= old_size <= size, "old size", f"a tree of {size} cannot extend one of {old_size}")
    if old_size in (0, size):
        _require(not proof, "consistency proof", f"has {len(proof)} hashes, needs none")
        _same("old root", old_root, root_hash if old_size else EMPTY_ROOT)
        _same("new root", root_hash, root_hash if size else EMPTY_ROOT)
        return
    old, new = _roots_of_proof(old_size, size, proof, old_root)
    _same("consistency proof to the old root", old, old_root)
    _same("consistency proof to the new root", new, root_hash)


def _root_of_path(entry_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    if size == 1:
        _require(not path, "inclusion proof", f"has {len(path)} hashes too many")
        return entry_hash
    rest, last = _take(path, "inclusion proof")
    left = _split(size)
    if index < left:
        return node_hash(_root_of_path(entry_hash, index, left, rest), last)
    return node_hash(last, _root_of_path(entry_hash, index - left, size - left, rest))


def _roots_of_proof(old_size: int, size: int, proof: Sequence[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """The old and the new root that SUBPROOF leads to; `known` is the old root while it is a subtree's own."""
    if old_size == size:
        if known is None:
            proof, known = _take(proof, "consistency proof")
        _require(not proof, "consistency proof", f"has {len(proof)} hashes too many")
        return known, known
    rest, last = _take(proof, "consistency proof")
    left = _split(size)
    if old_size <= left:
        old, new = _roots_of_proof(old_size, left, rest, known)
        return old, node_hash(new, last)
    old, new = _roots_of_proof(old_size - left, size - left, rest, None)
    return node_hash(last, old), node_hash(last, new)


def _range_hash(start: int, end: int, tree: Nodes) -> bytes:
    """MTH(D[start:end]) of a range that RFC 6962 splits the tree into."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return tree(level, start >> level)
    middle = start + _split(size)
    return node_hash(_range_hash(start, middle, tree), _range_hash(middle, end, tree))


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _take(proof: Sequence[bytes], field: str) -> tuple[Sequence[bytes], bytes]:
    _require(len(proof) > 0, field, "has too few hashes")
    return proof[:-1], proof[-1]


def _same(field: str, found: bytes, expected: bytes) -> None:
    _require(found == expected, field, f"leads to {found.hex()}, expected {expected.hex()}")


def _require(condition: bool, field: str, message: str) -> None:
    if not condition:
        raise BadProof(message, field=field)
