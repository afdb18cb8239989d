"""Tells a database that was lost, or exchanged, from one that is new: its mark is kept beside the key as well."""

import secrets
from pathlib import Path

from sqlmodel import Field, SQLModel, select

from connectionchain.errors import InvalidInput
from ledger.database import Database


class StoreMark(SQLModel, table=True):
    """The one row says which database this is."""

    __tablename__ = "store_mark"

    mark: str = Field(primary_key=True)


async def mark_of(database: Database) -> str:
    """The database's mark; a new database is given one."""
    async with database.write() as session:
        found = (await session.exec(select(StoreMark))).first()
        if found is None:
            found = StoreMark(mark=secrets.token_hex(16))
            session.add(found)
        return found.mark


def check_mark(mark: str, beside: Path) -> None:
    """Keeps the mark in the file `beside`. Raises InvalidInput if another is there: an attestor that has forgotten
    its decisions could decide the other way."""
    if not beside.exists():
        beside.write_text(mark + "\n")
    elif beside.read_text().strip() != mark:
        raise InvalidInput(
            "is not the database this key was used with before: its decisions are missing",
            field="database",
            remedy=f"restore it; only if this key never signed anything, remove {beside}",
        )
