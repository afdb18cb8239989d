"""Tiles of 256 hashes and bundles of entries: how a log is stored and served. Source: c2sp.org/tlog-tiles."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from connectionchain.tlog import merkle
from connectionchain.tlog.errors import BadProof

WIDTH = 256
LARGEST_ENTRY = 2**16 - 1

ReadTile = Callable[[int, int], bytes]
"""(level, index) -> the tile's hashes, all or at least those that the tree at hand has."""


@dataclass(frozen=True)
class TilePath:
    """Which tile or entry bundle is meant; `width` is 256 unless it is partial."""

    level: int | Literal["entries"]
    index: int
    width: int = WIDTH

    def __str__(self) -> str:
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        path = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        return f"tile/{self.level}/{path}" + (f".p/{self.width}" if self.width < WIDTH else "")

    @classmethod
    def parse(cls, path: str) -> Self:
        """Raises BadProof unless `path` is the one spelling of a tile's path, as in `tile/0/x001/234.p/5`."""
        match = re.fullmatch(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([0-9]{1,3}))?", path)
        if match:
            level = match[1] if match[1] == "entries" else int(match[1])
            index = int(match[2].replace("x", "").replace("/", ""))
            parsed = cls(level, index, int(match[3] or WIDTH))  # type: ignore[arg-type]
            if str(parsed) == path and parsed.width > 0 and (level == "entries" or int(level) <= 63):
                return parsed
        raise BadProof(f"{path[:80]!r} names no tile", field="path")


def width(level: int, index: int, size: int) -> int:
    """How many hashes of this tile a tree of `size` has."""
    return max(0, min(WIDTH, (size >> 8 * level) - index * WIDTH))


def hashes(tile: bytes) -> list[bytes]:
    return [tile[i : i + merkle.HASH] for i in range(0, len(tile), merkle.HASH)]


def nodes(read: ReadTile) -> merkle.Nodes:
    """The tree that these tiles make up."""

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, 8)
        tile, at = divmod(index << height, WIDTH)
        span = hashes(read(tile_level, tile)[at * merkle.HASH : (at + (1 << height)) * merkle.HASH])
        if len(span) != 1 << height:
            raise BadProof(f"lacks hash {at + len(span)}", field=str(TilePath(tile_level, tile)))
        return merkle.fold(span)

    return node


def grow(read: ReadTile, size: int, leaf_hashes: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles, by (level, index), that change when these leaves join a tree of `size`."""
    changed: dict[tuple[int, int], bytes] = {}
    level, joining = 0, leaf_hashes
    while joining:
        first, filled = divmod(size, WIDTH)
        start = read(level, first)[: filled * merkle.HASH] if filled else b""
        fresh = dict(enumerate(_chunks(start + b"".join(joining)), first))
        changed |= {(level, index): tile for index, tile in fresh.items()}
        joining = [merkle.fold(hashes(tile)) for tile in fresh.values() if len(tile) == WIDTH * merkle.HASH]
        level, size = level + 1, first
    return changed


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries, each after its length as big-endian uint16. BadProof if one is longer than 65,535 bytes."""
    return b"".join(_length(entry) + entry for entry in entries)


def unbundle(data: bytes) -> Iterator[bytes]:
    """The entries of a bundle; BadProof if it ends within one."""
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2])
        if end > len(data) or at + 2 > len(data):
            raise BadProof(f"ends within the entry at byte {at}", field="entry bundle")
        yield data[at + 2 : end]
        at = end


def _length(entry: bytes) -> bytes:
    if len(entry) > LARGEST_ENTRY:
        raise BadProof(f"has {len(entry)} bytes, more than {LARGEST_ENTRY}", field="entry")
    return len(entry).to_bytes(2)


def _chunks(data: bytes) -> list[bytes]:
    step = WIDTH * merkle.HASH
    return [data[i : i + step] for i in range(0, len(data), step)]
