import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain.tlog.checkpoint import Checkpoint, open_checkpoint
from connectionchain.tlog.cosignature import Cosigner, WitnessKey, require_quorum, timestamps
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note, Signer

# The example of c2sp.org/tlog-checkpoint and c2sp.org/tlog-cosignature; their keys are not published.
C2SP = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
TEXT = C2SP.partition("\n\n")[0] + "\n"
LOG = Signer("example.com/behind-the-sofa", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
WITNESSES = [Cosigner(f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n] * 32))) for n in range(3)]
KEYS = [witness.key for witness in WITNESSES]


def cosigned(*witnesses: Cosigner) -> Note:
    return LOG.sign(TEXT).with_signatures(*(witness.cosign(TEXT, 1679315147) for witness in witnesses))


def test_checkpoint__c2sp_example() -> None:
    note = Note.parse(C2SP)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert (str(checkpoint), str(note)) == (TEXT, C2SP)
    assert int.from_bytes(note.signatures[1].content[:8]) == 1679315147


def test_checkpoint__extension_lines_are_kept() -> None:
    assert Checkpoint.parse(TEXT + "extra\n").extensions == ("extra",)
    assert str(Checkpoint.parse(TEXT + "extra\n")) == TEXT + "extra\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\n1\n", "at least three non-empty lines"),
        (TEXT + "\n", "at least three non-empty lines"),
        (TEXT.replace("2085", "02085"), "without leading zeroes"),
        (TEXT.replace("20852163", str(2**63)), "without leading zeroes"),
        (TEXT.replace("20852163", "-1"), "without leading zeroes"),
        (TEXT.replace("20852163", "\u0663"), "without leading zeroes"),
        (TEXT.replace("CsUY", ""), "checkpoint root: has 29 bytes"),
    ],
)
def test_checkpoint__malformed_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadProof, match=reason):
        Checkpoint.parse(text)


def test_checkpoint__wrong_origin_is_refused() -> None:
    with pytest.raises(BadProof, match=r"is of 'example.com/behind-the-sofa', expected 'other'"):
        open_checkpoint(LOG.sign(TEXT), "other", [LOG.key])


def test_checkpoint__signed_by_another_is_refused() -> None:
    stranger = Signer(LOG.key.name, Ed25519PrivateKey.from_private_bytes(b"x" * 32))
    with pytest.raises(BadProof, match="is not signed by the log"):
        open_checkpoint(stranger.sign(TEXT), LOG.key.name, [LOG.key])


def test_cosignature__quorum() -> None:
    note = Note.parse(str(cosigned(*WITNESSES[:2])))
    assert require_quorum(note, KEYS, 2) == KEYS[:2]
    assert timestamps(note, KEYS[0]) == [1679315147]
    assert open_checkpoint(note, LOG.key.name, [LOG.key]).size == 20852163


def test_cosignature__quorum_short_by_one_is_refused() -> None:
    with pytest.raises(BadProof, match=r"1 of the 2 witnesses needed cosigned \(w0.example\)"):
        require_quorum(cosigned(WITNESSES[0]), KEYS, 2)


def test_cosignature__the_same_witness_twice_counts_once() -> None:
    with pytest.raises(BadProof, match="1 of the 2 witnesses"):
        require_quorum(cosigned(WITNESSES[0], WITNESSES[0]), KEYS, 2)
    with pytest.raises(BadProof, match="1 of the 2 witnesses"):
        require_quorum(cosigned(WITNESSES[0]), [KEYS[0], KEYS[0]], 2)


def test_cosignature__unknown_witness_does_not_count() -> None:
    with pytest.raises(BadProof, match="0 of the 1 witnesses"):
        require_quorum(cosigned(WITNESSES[0]), KEYS[1:], 1)


def test_cosignature__time_is_signed() -> None:
    note = cosigned(WITNESSES[0])
    later = note.signatures[1].content[:7] + bytes([note.signatures[1].content[7] ^ 1]) + note.signatures[1].content[8:]
    forged = Note(TEXT, (type(note.signatures[1])(KEYS[0].name, KEYS[0].id, later),))
    with pytest.raises(BadProof, match=r"signature by w0.example: is wrong"):
        require_quorum(forged, KEYS, 1)


def test_cosignature__zero_time_is_refused() -> None:
    note = LOG.sign(TEXT).with_signatures(WITNESSES[0].cosign(TEXT, 0))
    with pytest.raises(BadProof, match="is not a timestamp"):
        require_quorum(note, KEYS, 1)


def test_cosignature__key_differs_from_the_log_key_of_the_same_bytes() -> None:
    plain = Key(KEYS[0].name, KEYS[0].public)
    assert plain.id != KEYS[0].id
    assert WitnessKey.parse(str(KEYS[0])) == KEYS[0]
    with pytest.raises(BadProof, match="signature type 4"):
        WitnessKey.parse(str(plain))
