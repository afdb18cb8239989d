import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note, Signature, Signer

# The example of c2sp.org/signed-note@v1.0.0.
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# The example of golang.org/x/mod/sumdb/note (BSD-3-Clause).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = Signer("log.example/1", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer("log.example/1", Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.mark.parametrize(("vkey", "note"), [(C2SP_KEY, C2SP_NOTE), (GO_KEY, GO_NOTE)])
def test_note__public_example(vkey: str, note: str) -> None:
    key = Key.parse(vkey)
    assert Note.parse(note).signed_by([key]) == [key]
    assert (str(key), str(Note.parse(note))) == (vkey, note)


@given(st.integers(0, len(C2SP_NOTE.encode()) * 8 - 1))
def test_note__any_bit_changed_leaves_no_signature(bit: int) -> None:
    raw = bytearray(C2SP_NOTE.encode())
    raw[bit // 8] ^= 1 << bit % 8
    try:
        signed = Note.parse(raw.decode()).signed_by([Key.parse(C2SP_KEY)])
    except (BadProof, UnicodeDecodeError):
        return
    assert signed == []


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])).map(lambda text: text + "\n"))
def test_note__signed_text_comes_back(text: str) -> None:
    note = Note.parse(str(SIGNER.sign(text)))
    assert note.text == text
    assert note.signed_by([SIGNER.key]) == [SIGNER.key]


def test_note__text_may_have_empty_lines() -> None:
    note = Note.parse(str(SIGNER.sign("one\n\n\ntwo\n")))
    assert note.text == "one\n\n\ntwo\n"
    assert note.signed_by([SIGNER.key])


def test_note__unknown_signatures_are_ignored() -> None:
    note = SIGNER.sign("text\n").with_signatures(*OTHER.sign("text\n").signatures)
    assert note.signed_by([SIGNER.key]) == [SIGNER.key]
    assert SIGNER.sign("text\n").signed_by([OTHER.key]) == []


def test_note__one_wrong_signature_of_a_known_key_spoils_it() -> None:
    forged = Signature(OTHER.key.name, OTHER.key.id, bytes(64))
    with pytest.raises(BadProof, match=r"signature by log.example/1: is wrong"):
        SIGNER.sign("text\n").with_signatures(forged).signed_by([SIGNER.key, OTHER.key])


def test_note__signing_twice_counts_once() -> None:
    note = SIGNER.sign("text\n")
    assert note.with_signatures(*note.signatures).signed_by([SIGNER.key]) == [SIGNER.key]


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("text\n", "is not a text, an empty line and signature lines"),
        ("text\n\n", "is not a text, an empty line and signature lines"),
        (C2SP_NOTE[:-1], "is not a text, an empty line and signature lines"),
        (C2SP_NOTE.replace("—", "-"), "is not `— name base64`"),
        (C2SP_NOTE.replace("/foo ", "/f+o "), "is not `— name base64`"),
        (C2SP_NOTE.replace("IneyaQM=", "IneyaQN="), "is not canonical base64"),
        (C2SP_NOTE.replace("IneyaQM=", "Ineya"), "is not base64"),
        (C2SP_NOTE.replace(" is ", "\tis "), "contains a control character"),
        ("text\n\n— name AAAAAA==\n", "has no bytes after the key id"),
        ("text\n\n" + "— name AAAAAAA=\n" * 65, "has 65 signatures, more than 64"),
        ("x" * 300_000, "has 300000 characters"),
    ],
)
def test_note__malformed_is_refused(note: str, reason: str) -> None:
    with pytest.raises(BadProof, match=reason):
        Note.parse(note)


@pytest.mark.parametrize(
    ("vkey", "reason"),
    [
        (C2SP_KEY.replace("530d903a", "530d903b"), "says id 530d903b, its key has 530d903a"),
        (C2SP_KEY.replace("+AekyeRrm", "+BOkyeRrm"), "is not an Ed25519 key of signature type 1"),
        ("foo", "is not name"),
        ("example.com/foo+530d903a+AekyeRrm", "is not an Ed25519 key of signature type 1"),
    ],
)
def test_key__malformed_is_refused(vkey: str, reason: str) -> None:
    with pytest.raises(BadProof, match=reason):
        Key.parse(vkey)
