"""A database is made ready by every process that starts, at whatever time."""

import asyncio

from sqlmodel import SQLModel

from ledger.database import Database
from ledger.store import mark_of


async def test_create__by_several_processes_at_once(database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.drop_all)
    several = [Database(database.url) for _ in range(5)]
    await asyncio.gather(*(each.create() for each in several))
    assert len({await mark_of(each) for each in several}) == 1
    for each in several:
        await each.close()
