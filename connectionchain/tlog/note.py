"""Signed notes and their Ed25519 keys. Source: c2sp.org/signed-note@v1.0.0."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from connectionchain.tlog import lines
from connectionchain.tlog.errors import BadProof

MOST_SIGNATURES = 64
LARGEST_NOTE = 256 * 1024

KeyT = TypeVar("KeyT", bound="Key")


@dataclass(frozen=True)
class Signature:
    """One signature line; `content` is what follows the key id."""

    name: str
    key_id: bytes
    content: bytes

    def __str__(self) -> str:
        return f"— {self.name} {lines.encode(self.key_id + self.content)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        match = re.fullmatch(r"— ([^\s+]+) ([^\s]+)", line)
        if not match:
            raise BadProof(f"{line[:80]!r} is not `— name base64`", field="signature line")
        data = lines.decode(match[2], f"signature by {match[1]}")
        if len(data) <= 4:
            raise BadProof("has no bytes after the key id", field=f"signature by {match[1]}")
        return cls(match[1], data[:4], data[4:])


@dataclass(frozen=True)
class Note:
    """`text` ends in a newline; `signatures` are in the order of their lines."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    @classmethod
    def parse(cls, note: str) -> Self:
        """Raises BadProof on anything that is no well-formed signed note."""
        if len(note) > LARGEST_NOTE:
            raise BadProof(f"has {len(note)} characters, more than {LARGEST_NOTE}", field="note")
        if re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]", note):
            raise BadProof("contains a control character", field="note")
        text, blank, signatures = note.rpartition("\n\n")
        if not blank or not signatures.endswith("\n"):
            raise BadProof("is not a text, an empty line and signature lines", field="note")
        rows = signatures[:-1].split("\n")
        if len(rows) > MOST_SIGNATURES:
            raise BadProof(f"has {len(rows)} signatures, more than {MOST_SIGNATURES}", field="note")
        return cls(text + "\n", tuple(map(Signature.parse, rows)))

    def signed_by(self, keys: Iterable[KeyT]) -> list[KeyT]:
        """Those of `keys` that signed, each once. Signatures of unknown keys are ignored; BadProof if one of
        a known key is wrong."""
        found = {}
        for key in keys:
            for signature in self.signatures:
                if (signature.name, signature.key_id) == (key.name, key.id):
                    key.verify(self.text, signature)
                    found[key.public] = key
        return list(found.values())

    def with_signatures(self, *signatures: Signature) -> "Note":
        return Note(self.text, (*self.signatures, *signatures))


@dataclass(frozen=True)
class Key:
    """A key that signs notes: its name and 32-byte Ed25519 public key. Its text form is a vkey."""

    type: ClassVar[int] = 1

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{lines.encode(self._typed)}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Raises BadProof unless `vkey` is a key of this type whose id is right."""
        match = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+([^\s]+)", vkey)
        if not match:
            raise BadProof(f"{vkey[:80]!r} is not name+id+base64", field="vkey")
        data = lines.decode(match[3], "vkey")
        if len(data) != 33 or data[0] != cls.type:
            raise BadProof(f"is not an Ed25519 key of signature type {cls.type}", field=f"vkey of {match[1]}")
        key = cls(match[1], data[1:])
        if key.id.hex() != match[2]:
            raise BadProof(f"says id {match[2]}, its key has {key.id.hex()}", field=f"vkey of {match[1]}")
        return key

    def verify(self, text: str, signature: Signature) -> None:
        """Raises BadProof unless this key made `signature` over the note's text."""
        message, raw = self.unpack(text, signature.content)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw, message)
        except (InvalidSignature, ValueError):
            raise BadProof("is wrong: it was not made over this text", field=f"signature by {self.name}") from None

    def unpack(self, text: str, content: bytes) -> tuple[bytes, bytes]:
        """The message that is signed for `text`, and the 64-byte signature within `content`."""
        return text.encode(), content

    @property
    def _typed(self) -> bytes:
        return bytes([self.type]) + self.public


class Signer:
    """A private key with its name; one key serves one purpose."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.key = Key(name, private.public_key().public_bytes_raw())
        self._private = private

    def sign(self, text: str) -> Note:
        """The note over `text`, which ends in a newline."""
        return Note(text, (Signature(self.key.name, self.key.id, self._private.sign(text.encode())),))
