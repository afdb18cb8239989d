"""An attestor's own store: one decision per deal, for ever."""

from datetime import UTC, datetime

from sqlmodel import Field, SQLModel

from connectionchain.certificate import Outcome
from connectionchain.errors import AlreadyDecided
from ledger.database import Database


class Decision(SQLModel, table=True):
    """What this attestor decided on a deal, and why. The key makes a second decision impossible."""

    deal: str = Field(primary_key=True)
    outcome: Outcome
    reason: str
    decided: datetime = Field(default_factory=lambda: datetime.now(UTC))


async def decide(database: Database, deal: str, outcome: Outcome, reason: str) -> None:
    """Stores the decision before anything is signed. Raises AlreadyDecided if it was the other one."""
    async with database.write() as session:
        earlier = await session.get(Decision, deal)
        if earlier is None:
            session.add(Decision(deal=deal, outcome=outcome, reason=reason))
        elif earlier.outcome is not outcome:
            raise AlreadyDecided(f"this attestor decided to {earlier.outcome} it: {earlier.reason}", field="deal")


async def decision(database: Database, deal: str) -> Decision | None:
    async with database.read() as session:
        return await session.get(Decision, deal)
