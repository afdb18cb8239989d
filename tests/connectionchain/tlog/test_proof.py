import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from connectionchain.tlog import merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.cosignature import Cosigner
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Signer
from connectionchain.tlog.proof import LogPolicy, LogProof, prove

ENTRIES = [b"entry %d" % n for n in range(13)]
TREE = merkle.nodes([merkle.leaf_hash(entry) for entry in ENTRIES])
LOG = Signer("log.example", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
WITNESSES = [Cosigner(f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n] * 32))) for n in range(3)]
POLICY = LogPolicy(LOG.key, tuple(witness.key for witness in WITNESSES), 3)


def proof(index: int = 5, size: int = 13) -> LogProof:
    text = str(Checkpoint(LOG.key.name, size, merkle.root(size, TREE)))
    note = LOG.sign(text).with_signatures(*(witness.cosign(text, 1_700_000_000) for witness in WITNESSES))
    return prove(index, size, TREE, note)


@pytest.mark.parametrize("index", range(13))
def test_proof__text_round_trip_verifies(index: int) -> None:
    text = str(proof(index))
    assert str(LogProof.parse(text)) == text
    assert LogProof.parse(text).verify(ENTRIES[index], POLICY).size == 13


def test_proof__form_of_the_specification() -> None:
    rows = str(proof()).split("\n")
    assert rows[:2] == ["c2sp.org/tlog-proof@v1", "index 5"]
    assert rows[2 + len(proof().path) :][:2] == ["", "log.example"]


def test_proof__single_leaf_has_no_path() -> None:
    text = str(proof(0, 1))
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example\n1\n")
    assert LogProof.parse(text).verify(ENTRIES[0], POLICY).size == 1


def test_proof__extra_is_kept() -> None:
    text = str(proof()).replace("index", "extra AAEC\nindex", 1)
    assert LogProof.parse(text).extra == b"\x00\x01\x02"
    assert str(LogProof.parse(text)) == text


@given(st.integers(0, len(str(proof()).encode()) * 8 - 1))
def test_proof__any_bit_changed_is_refused(bit: int) -> None:
    raw = bytearray(str(proof()).encode())
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises((BadProof, UnicodeDecodeError)):
        LogProof.parse(raw.decode()).verify(ENTRIES[5], POLICY)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("proof@v1", "proof@v2", "does not start with"),
        ("index 5", "index 05", "without leading zeroes"),
        ("index 5", "index 13", "leaf 13 is not in a tree of 13"),
        ("index 5", "index 4", "inclusion proof: leads to"),
        ("index 5\n", "", "has no index line"),
        ("\n\nlog.example", "\nlog.example", "has no index line|path hash|not base64|at least three"),
    ],
)
def test_proof__malformed_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(BadProof, match=reason):
        LogProof.parse(str(proof()).replace(old, new, 1)).verify(ENTRIES[5], POLICY)


def test_proof__of_another_entry_is_refused() -> None:
    with pytest.raises(BadProof, match="inclusion proof: leads to"):
        proof().verify(ENTRIES[6], POLICY)


def test_proof__under_an_older_checkpoint_is_refused() -> None:
    older = LogProof(proof().index, proof().path, proof(5, 12).checkpoint)
    with pytest.raises(BadProof, match="inclusion proof"):
        older.verify(ENTRIES[5], POLICY)
