"""Timestamped cosignatures of witnesses on checkpoints. Source: c2sp.org/tlog-cosignature, Ed25519 (v1)."""

from collections.abc import Sequence
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain.tlog import lines
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note, Signature


class WitnessKey(Key):
    """A witness's key: it signs a checkpoint together with the time it did so."""

    type: ClassVar[int] = 4

    def unpack(self, text: str, content: bytes) -> tuple[bytes, bytes]:
        timestamp = int.from_bytes(content[:8])
        if len(content) != 72 or not 0 < timestamp <= lines.LARGEST:
            raise BadProof("is not a timestamp and 64 bytes", field=f"cosignature by {self.name}")
        return _message(text, timestamp), content[8:]


class Cosigner:
    """A witness's private key with its name."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.key = WitnessKey(name, private.public_key().public_bytes_raw())
        self._private = private

    def cosign(self, text: str, timestamp: int) -> Signature:
        """`timestamp` in POSIX seconds."""
        raw = self._private.sign(_message(text, timestamp))
        return Signature(self.key.name, self.key.id, timestamp.to_bytes(8) + raw)


def timestamps(note: Note, key: WitnessKey) -> list[int]:
    """When this witness says it signed, in POSIX seconds."""
    return [int.from_bytes(s.content[:8]) for s in note.signatures if (s.name, s.key_id) == (key.name, key.id)]


def require_quorum(note: Note, witnesses: Sequence[WitnessKey], quorum: int) -> list[WitnessKey]:
    """The witnesses that cosigned; BadProof unless they are `quorum` distinct keys, none with a wrong signature."""
    cosigned = note.signed_by(witnesses)
    if len(cosigned) < quorum:
        names = ", ".join(key.name for key in cosigned) or "none"
        raise BadProof(f"{len(cosigned)} of the {quorum} witnesses needed cosigned ({names})", field="witnesses")
    return cosigned


def _message(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
