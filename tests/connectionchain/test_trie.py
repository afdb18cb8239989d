import json
from pathlib import Path

import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from connectionchain import trie
from connectionchain.tlog.errors import BadProof

VECTORS = json.loads((Path(__file__).parent / "vectors" / "trie.json").read_text())["tries"]
BLOCK = trie.numbered([b"receipt %d " % n * 9 for n in range(300)])
TRIES = st.dictionaries(st.binary(min_size=1, max_size=4), st.binary(min_size=1, max_size=60), min_size=1, max_size=40)


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


@pytest.mark.parametrize("name", VECTORS)
def test_trie__public_vector(name: str) -> None:
    items: dict[bytes, bytes] = {}
    for key, value in VECTORS[name]["in"]:
        hashed = keccak(raw(key)) if VECTORS[name].get("hashedKeys") else raw(key)
        if value is None:
            del items[hashed]
        else:
            items[hashed] = raw(value)
    root = raw(VECTORS[name]["root"])
    assert trie.root(items) == root
    for key, value in items.items():
        assert trie.verify(root, key, trie.prove(items, key)) == value


@given(TRIES)
def test_verify__every_key_of_any_trie(items: dict[bytes, bytes]) -> None:
    root = trie.root(items)
    for key, value in items.items():
        assert trie.verify(root, key, trie.prove(items, key)) == value


@pytest.mark.parametrize("count", [1, 2, 16, 17, 127, 128, 129, 300])
def test_verify__indices_of_a_block(count: int) -> None:
    """Index 0 is the key 0x80, and from 128 on keys have two bytes: the order of keys is not that of indices."""
    items = trie.numbered([b"receipt %d " % n * 9 for n in range(count)])
    root = trie.root(items)
    for key, value in items.items():
        assert trie.verify(root, key, trie.prove(items, key)) == value
    with pytest.raises(BadProof, match=r"nothing is under|empty branch"):
        trie.prove(items, rlp.encode(count))


def test_verify__single_item() -> None:
    items = trie.numbered([b"only"])
    [leaf] = trie.prove(items, b"\x80")
    assert rlp.decode(leaf) == [b"\x20\x80", b"only"]
    assert trie.verify(keccak(leaf), b"\x80", [leaf]) == b"only"


def test_verify__empty_trie_proves_nothing() -> None:
    assert trie.root({}) == trie.EMPTY_ROOT
    with pytest.raises(BadProof, match="of an empty trie"):
        trie.verify(trie.EMPTY_ROOT, b"\x80", [rlp.encode(b"")])
    with pytest.raises(BadProof, match="ends before"):
        trie.verify(trie.EMPTY_ROOT, b"\x80", [])


@given(st.data())
def test_verify__any_bit_changed_is_refused(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(list(BLOCK)))
    nodes = trie.prove(BLOCK, key)
    at = data.draw(st.integers(0, len(nodes) - 1))
    changed = bytearray(nodes[at])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadProof, match=f"has node {keccak(bytes(changed)).hex()}, expected {keccak(nodes[at]).hex()}"):
        trie.verify(trie.root(BLOCK), key, [*nodes[:at], bytes(changed), *nodes[at + 1 :]])


def test_verify__proof_of_another_key_is_refused() -> None:
    one, two = rlp.encode(1), rlp.encode(2)
    with pytest.raises(BadProof, match=r"has node|nothing is under|too many"):
        trie.verify(trie.root(BLOCK), one, trie.prove(BLOCK, two))


def test_verify__missing_and_superfluous_nodes_are_refused() -> None:
    key = rlp.encode(200)
    nodes, root = trie.prove(BLOCK, key), trie.root(BLOCK)
    with pytest.raises(BadProof, match="ends before node"):
        trie.verify(root, key, nodes[:-1])
    with pytest.raises(BadProof, match="has 1 nodes too many"):
        trie.verify(root, key, [*nodes, nodes[-1]])
    with pytest.raises(BadProof, match="has node"):
        trie.verify(root, key, nodes[::-1])


def test_verify__extension_above_an_embedded_branch() -> None:
    items = {b"\x12\x34": b"a", b"\x12\x35": b"b"}
    [node] = trie.prove(items, b"\x12\x34")
    assert len(rlp.decode(node)) == 2, "the root is an extension, everything else is embedded in it"
    assert [trie.verify(keccak(node), key, [node]) for key in items] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ([b"\x00", [b""] * 17], "not in hex-prefix form"),  # an extension that leads nowhere
        ([b"\x01\x80", b"v"], "not in hex-prefix form"),  # padding that is not zero
        ([b"\x40", b"v"], "not in hex-prefix form"),  # a flag that does not exist
        ([b"", b"v"], "not in hex-prefix form"),
        ([[b"\x20"], b"v"], "not in hex-prefix form"),
        ([b"\x18\x00", b""], "leads to an empty branch|nothing is under"),
        ([b"\x20\x80", b""], "nothing is under 80"),
        ([b"\x20\x80", [b"v"]], "nothing is under 80"),
        ([b"\x20\x81", b"v"], "nothing is under 80"),
        ([b"\x20\x80\x00", b"v"], "nothing is under 80"),
        ([b""] * 17, "leads to an empty branch"),
        ([b""] * 16, "is no branch, extension or leaf"),
        (b"text", "is no branch, extension or leaf"),
    ],
)
def test_verify__forged_node_is_refused_whatever_its_hash(node: object, reason: str) -> None:
    encoded = rlp.encode(node)
    with pytest.raises(BadProof, match=reason):
        trie.verify(keccak(encoded), b"\x80", [encoded])


def test_verify__node_that_is_not_rlp_is_refused() -> None:
    for junk in (b"", b"\xc1", b"\xc0\xc0", b"\xf8\x01\x00", b"\xbf" + b"\xff" * 8):
        with pytest.raises(BadProof):
            trie.verify(keccak(junk), b"\x80", [junk])


def test_verify__node_nested_without_end_is_refused() -> None:
    nested = b""
    for _ in range(50_000):
        nested = rlp.codec.length_prefix(len(nested), 0xC0) + nested
    with pytest.raises(BadProof, match=r"is not RLP|is no branch"):
        trie.verify(keccak(nested), b"\x80", [nested])
