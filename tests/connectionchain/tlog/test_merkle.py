import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectionchain.tlog import merkle
from connectionchain.tlog.errors import BadProof

VECTORS = json.loads((Path(__file__).parent / "vectors" / "merkle.json").read_text())

# The reference tree of the certificate-transparency project (Apache-2.0), as in transparency-dev/merkle `testonly`.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# RFC 6962 has no proof from an empty tree; tlog-witness calls it consistent with every tree, by the empty proof.
FROM_EMPTY = "additional/size1-is-zero-and-size2-is-not-zero"
SIZES = st.integers(1, 300)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % n) for n in range(count)]


TREE = merkle.nodes(leaves(300))


@pytest.mark.parametrize(("size", "root"), list(enumerate(ROOTS)))
def test_root__reference_tree(size: int, root: str) -> None:
    hashes = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]
    assert merkle.root(size, merkle.nodes(hashes)).hex() == root


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.mark.parametrize("name", sorted(VECTORS["inclusion"]))
def test_inclusion__public_vector(name: str) -> None:
    case = VECTORS["inclusion"][name]
    proof = [raw(each) for each in case["proof"] or []]
    args = raw(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, raw(case["root"])
    if case["wantErr"]:
        with pytest.raises(BadProof):
            merkle.verify_inclusion(*args)
    else:
        merkle.verify_inclusion(*args)


@pytest.mark.parametrize("name", sorted(VECTORS["consistency"].keys() - {FROM_EMPTY}))
def test_consistency__public_vector(name: str) -> None:
    case = VECTORS["consistency"][name]
    proof = [raw(each) for each in case["proof"] or []]
    args = case["size1"], raw(case["root1"]), case["size2"], raw(case["root2"]), proof
    if case["wantErr"]:
        with pytest.raises(BadProof):
            merkle.verify_consistency(*args)
    else:
        merkle.verify_consistency(*args)


def test_inclusion__every_leaf_of_every_small_tree() -> None:
    for size in range(1, 40):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, TREE)
            merkle.verify_inclusion(TREE(0, index), index, size, proof, merkle.root(size, TREE))


def test_consistency__every_pair_of_small_trees() -> None:
    for size in range(40):
        for old in range(size + 1):
            proof = merkle.consistency_proof(old, size, TREE)
            merkle.verify_consistency(old, merkle.root(old, TREE), size, merkle.root(size, TREE), proof)


@given(st.data())
def test_inclusion__any_change_is_refused(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    proof, root = merkle.inclusion_proof(index, size, TREE), merkle.root(size, TREE)
    merkle.verify_inclusion(TREE(0, index), index, size, proof, root)
    blob = bytearray(b"".join([TREE(0, index), root, *proof]))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    leaf, changed_root, *changed = [bytes(blob[i : i + 32]) for i in range(0, len(blob), 32)]
    with pytest.raises(BadProof, match="inclusion proof: leads to"):
        merkle.verify_inclusion(leaf, index, size, changed, changed_root)


@given(st.data())
def test_inclusion__other_index_or_length_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    proof, root = merkle.inclusion_proof(index, size, TREE), merkle.root(size, TREE)
    with pytest.raises(BadProof):
        merkle.verify_inclusion(TREE(0, index), other, size, proof, root)
    with pytest.raises(BadProof, match="too few"):
        merkle.verify_inclusion(TREE(0, index), index, size, proof[1:], root)
    with pytest.raises(BadProof, match="too many"):
        merkle.verify_inclusion(TREE(0, index), index, size, [root, *proof], root)


@given(st.data())
def test_consistency__any_change_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    old = data.draw(st.integers(1, size - 1))
    proof = merkle.consistency_proof(old, size, TREE)
    blob = bytearray(b"".join([merkle.root(old, TREE), merkle.root(size, TREE), *proof]))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    old_root, root, *changed = [bytes(blob[i : i + 32]) for i in range(0, len(blob), 32)]
    with pytest.raises(BadProof, match="consistency proof to the"):
        merkle.verify_consistency(old, old_root, size, root, changed)


def test_consistency__from_the_empty_tree_needs_no_proof_but_the_empty_root() -> None:
    merkle.verify_consistency(0, hashlib.sha256().digest(), 5, merkle.root(5, TREE), [])
    with pytest.raises(BadProof, match="needs none"):
        merkle.verify_consistency(0, merkle.EMPTY_ROOT, 5, merkle.root(5, TREE), [merkle.EMPTY_ROOT])
    with pytest.raises(BadProof, match="old root"):
        merkle.verify_consistency(0, bytes(32), 5, merkle.root(5, TREE), [])


def test_consistency__shrinking_is_refused() -> None:
    with pytest.raises(BadProof, match="a tree of 3 cannot extend one of 4"):
        merkle.verify_consistency(4, merkle.root(4, TREE), 3, merkle.root(3, TREE), [])
