"""Checkpoints: a log's signed tree head. Source: c2sp.org/tlog-checkpoint@v1.0.0."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from connectionchain.tlog import lines
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note


@dataclass(frozen=True)
class Checkpoint:
    """The tree of `size` leaves of the log named `origin` has this root. Extension lines are kept as they are."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in (self.origin, self.size, lines.encode(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text of a note, whose signatures are not looked at. Raises BadProof."""
        rows = text.removesuffix("\n").split("\n")
        if len(rows) < 3 or not all(rows) or not text.endswith("\n"):
            raise BadProof("is not at least three non-empty lines", field="checkpoint")
        size = lines.decimal(rows[1], "checkpoint size")
        return cls(rows[0], size, lines.decode_hash(rows[2], "checkpoint root"), tuple(rows[3:]))


def open_checkpoint(note: Note, origin: str, keys: Iterable[Key]) -> Checkpoint:
    """The checkpoint in `note`, if it is of this origin and one of the log's keys signed it; else BadProof."""
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise BadProof(f"is of {checkpoint.origin!r}, expected {origin!r}", field="checkpoint origin")
    if not note.signed_by(keys):
        raise BadProof(f"is not signed by the log {origin}", field="checkpoint")
    return checkpoint
