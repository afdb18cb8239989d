"""One database: PostgreSQL, or SQLite in WAL mode for a single process. Tables live beside their use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.errors import InvalidInput

BUSY_MS = 30_000
CREATING = 0x6363
"""The advisory lock of whoever creates tables: PostgreSQL itself lets two try, and one of them fail."""


class Database:
    """Sessions on `url` (`sqlite+aiosqlite:///path` or `postgresql+psycopg://…`)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_async_engine(url)
        # SQLite lets one writer in and makes the others poll: in one process they queue up here instead.
        self._turn: AbstractAsyncContextManager[Any] = nullcontext()
        if self.engine.dialect.name == "sqlite":
            self._turn = asyncio.Lock()
            event.listen(self.engine.sync_engine, "connect", _sqlite_pragmas)
            event.listen(self.engine.sync_engine, "begin", _sqlite_begin)

    async def create(self) -> None:
        """Creates missing tables, one process after the other; InvalidInput if the database cannot be used."""
        try:
            async with self._turn, self.engine.connect() as connection:
                writing = await connection.execution_options(write=True)
                async with writing.begin():
                    await writing.run_sync(_create_all)
        except (DBAPIError, OSError) as error:
            raise InvalidInput(
                f"the database cannot be used: {error.__cause__ or error}",
                field="database",
                remedy="check the path or URL, its permissions, and that it is no other program's file",
            ) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction: commits at the end, rolls back on any error. Writers queue up on SQLite; on
        PostgreSQL lock the rows you decide upon (`with_for_update`)."""
        async with self._turn, self.engine.connect() as connection:
            writing = await connection.execution_options(write=True)
            async with AsyncSession(writing, expire_on_commit=False) as session, session.begin():
                yield session

    async def close(self) -> None:
        await self.engine.dispose()


def _create_all(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CREATING})")
    SQLModel.metadata.create_all(connection)


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN (see _sqlite_begin)
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read lock later fails when two writers meet.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")
