"""How far each chain was known to be final: what the next process holds against the chain it finds."""

from datetime import UTC, datetime

from sqlalchemy import DateTime
from sqlmodel import Field, SQLModel

from connectionchain.evidence import Block
from connectionchain.ids import ChainId
from ledger.database import Database


class ChainCursor(SQLModel, table=True):
    """The newest block of `chain` that was seen to be final."""

    __tablename__ = "chain_cursor"

    chain: str = Field(primary_key=True)
    number: int
    hash: str
    time: datetime = Field(sa_type=DateTime(timezone=True))


async def last_final(database: Database, chain: ChainId) -> Block | None:
    async with database.read() as session:
        row = await session.get(ChainCursor, str(chain))
    return Block(number=row.number, hash=row.hash, time=row.time.replace(tzinfo=UTC)) if row else None


async def keep_final(database: Database, chain: ChainId, block: Block) -> None:
    async with database.write() as session:
        await session.merge(ChainCursor(chain=str(chain), number=block.number, hash=block.hash, time=block.time))
