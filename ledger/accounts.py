"""The account book: handle -> CAIP-10 accounts, each with an alias."""

from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from connectionchain.accounts import AccountEntry
from ledger.database import Database
from ledger.liquidity import insert, unknown


class AccountRow(SQLModel, table=True):
    __tablename__ = "account_book"
    handle: str = Field(primary_key=True)
    alias: str = Field(primary_key=True)
    account: str


class AccountBook:
    """Handle -> CAIP-10 accounts, each with an alias."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def register(self, entry: AccountEntry) -> None:
        """Raises InvalidInput if the user has this alias already."""
        row = AccountRow(**entry.model_dump())
        await insert(self.database, row, "alias", f"{entry.handle} has an account {entry.alias} already")

    async def update(self, entry: AccountEntry) -> None:
        """Another account under a known alias. Raises UnknownName."""
        async with self.database.write() as session:
            (await self._row(session, entry.handle, entry.alias)).account = entry.account

    async def delete(self, handle: str, alias: str) -> None:
        """Raises UnknownName."""
        async with self.database.write() as session:
            await session.delete(await self._row(session, handle, alias))

    async def of(self, handle: str) -> list[AccountEntry]:
        """The user's accounts by alias; none for an unknown user."""
        async with self.database.read() as session:
            rows = await session.exec(select(AccountRow).where(AccountRow.handle == handle).order_by(AccountRow.alias))
            return [AccountEntry.model_validate(row.model_dump()) for row in rows]

    async def _row(self, session: AsyncSession, handle: str, alias: str) -> AccountRow:
        row = await session.get(AccountRow, (handle, alias))
        if row is None:
            known = await session.exec(select(AccountRow.alias).where(AccountRow.handle == handle))
            raise unknown("alias", alias, known.all())
        return row
