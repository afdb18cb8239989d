"""The log's tiles as database rows, so that they change in the same transaction as the entries they are made of.

One row per tile, the growing ones too: a tile only ever grows at its end, so every partial tile is a prefix of it.
"""

from typing import Any

from sqlalchemy import Column, LargeBinary, and_, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import Field, SQLModel, col, select

from connectionchain.tlog import merkle, tiles
from ledger.evidence import BIG


class Tile(SQLModel, table=True):
    """Hashes of 32 bytes each, at most 256."""

    __tablename__ = "log_tile"

    level: int = Field(primary_key=True)
    index: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    hashes: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class TileStore:
    """The tiles within one session's transaction, each read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read: dict[tuple[int, int], bytes] = {}

    @property
    def tree(self) -> merkle.Nodes:
        return tiles.nodes(self.read)

    def fetch(self, position: int, size: int) -> None:
        """Reads what an inclusion proof needs in one query: the tiles above the leaf and along the right edge."""
        levels = range(0, 64, 8)
        keys = {(level // 8, at >> level + 8) for level in levels for at in (position, size - 1) if size >> level}
        # Not `(level, index) IN …`, for which SQLite reads the whole table.
        wanted = or_(*(and_(col(Tile.level) == level, col(Tile.index) == index) for level, index in keys))
        for level, index, hashes in self._session.execute(select(Tile.level, Tile.index, Tile.hashes).where(wanted)):
            self._read[level, index] = hashes

    def read(self, level: int, index: int) -> bytes:
        """A tile's hashes as far as there are any."""
        key = (level, index)
        if key not in self._read:
            found = self._session.execute(select(Tile.hashes).where(Tile.level == level, Tile.index == index))
            self._read[key] = found.scalar() or b""
        return self._read[key]

    def grow(self, size: int, leaf_hashes: list[bytes]) -> bytes:
        """Adds leaves to a tree of `size`, stores the tiles that change, returns the new root."""
        changed = tiles.grow(self.read, size, leaf_hashes)
        self._read |= changed
        rows = [{"level": level, "index": index, "hashes": tile} for (level, index), tile in changed.items()]
        if rows:
            connection = self._session.connection()
            connection.execute(_UPSERT[connection.dialect.name], rows)
        return merkle.root(size + len(leaf_hashes), self.tree)


def _upsert(dialect: Any) -> Any:
    statement = dialect.insert(Tile)
    return statement.on_conflict_do_update(
        index_elements=["level", "index"], set_={"hashes": statement.excluded.hashes}
    )


_UPSERT = {"sqlite": _upsert(sqlite), "postgresql": _upsert(postgresql)}
