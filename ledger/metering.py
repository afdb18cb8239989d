"""An attestor's own store: the highest amount it signed for each mandate, and when its consumer ended it."""

from datetime import UTC, datetime

from sqlalchemy import DateTime
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.errors import AlreadyDecided, Refused
from ledger.subscriptions import Digits


class Metering(SQLModel, table=True):
    """Amounts only grow; the end, once heard, stays."""

    mandate: str = Field(primary_key=True)
    signed: int = Field(default=0, sa_type=Digits)
    ended: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))

    @property
    def end(self) -> datetime | None:
        return self.ended.replace(tzinfo=UTC) if self.ended else None


async def metering(session: AsyncSession, mandate: str) -> Metering:
    row = await session.get(Metering, mandate, with_for_update=True)
    return row or Metering(mandate=mandate)


async def remember(session: AsyncSession, mandate: str, total: int, ended: datetime | None) -> None:
    """Before it is signed. Raises Refused for less than was signed before, AlreadyDecided for another end."""
    row = await metering(session, mandate)
    if total < row.signed:
        raise Refused(f"this attestor has signed for {row.signed} already, {total} is less", field="total")
    if row.end and ended != row.end:
        raise AlreadyDecided(f"this attestor knows that it ended at {row.end}", field="termination")
    row.signed, row.ended = total, ended
    session.add(row)
