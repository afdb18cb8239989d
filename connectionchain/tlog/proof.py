"""Offline proofs that an entry is in a witnessed log. Source: c2sp.org/tlog-proof@v1."""

from dataclasses import dataclass
from typing import Self

from connectionchain.tlog import cosignature, lines, merkle
from connectionchain.tlog.checkpoint import Checkpoint, open_checkpoint
from connectionchain.tlog.cosignature import WitnessKey
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Key, Note

HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class LogPolicy:
    """Which log is believed: its key (whose name is the origin), and how many of these witnesses must agree."""

    log: Key
    witnesses: tuple[WitnessKey, ...] = ()
    quorum: int = 0


@dataclass(frozen=True)
class LogProof:
    """Entry number `index` is under `checkpoint` by `path`. `extra` is nobody's word: it is not authenticated."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes | None = None

    def __str__(self) -> str:
        extra = [] if self.extra is None else [f"extra {lines.encode(self.extra)}"]
        rows = [HEADER, *extra, f"index {self.index}", *map(lines.encode, self.path)]
        return "\n".join([*rows, "", str(self.checkpoint)])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadProof. Nothing is verified yet."""
        head, blank, note = text.partition("\n\n")
        rows = head.split("\n")
        if not blank or rows.pop(0) != HEADER:
            raise BadProof(f"does not start with {HEADER}", field="tlog-proof")
        extra = lines.decode(rows.pop(0)[6:], "extra") if rows and rows[0].startswith("extra ") else None
        if not rows or not rows[0].startswith("index "):
            raise BadProof("has no index line", field="tlog-proof")
        index = lines.decimal(rows[0][6:], "index")
        path = tuple(lines.decode_hash(row, f"path hash {n}") for n, row in enumerate(rows[1:]))
        return cls(index, path, Note.parse(note), extra)

    def verify(self, entry: bytes, policy: LogPolicy) -> Checkpoint:
        """The checkpoint that `entry` is under; BadProof if log, witnesses or inclusion do not hold."""
        checkpoint = open_checkpoint(self.checkpoint, policy.log.name, [policy.log])
        cosignature.require_quorum(self.checkpoint, policy.witnesses, policy.quorum)
        merkle.verify_inclusion(merkle.leaf_hash(entry), self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint


def prove(index: int, size: int, tree: merkle.Nodes, checkpoint: Note) -> LogProof:
    """The proof of entry `index` under a checkpoint over `size` entries."""
    return LogProof(index, tuple(merkle.inclusion_proof(index, size, tree)), checkpoint)
