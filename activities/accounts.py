"""The account book as its users reach it: standalone activities beside the liquidity desk's."""

from temporalio import activity

from activities.failures import typed_failures
from connectionchain.accounts import AccountEntry, AccountName, Handle
from ledger.accounts import AccountBook


class AccountDesk:
    """Registers and tells under which names the users' accounts are known."""

    def __init__(self, book: AccountBook) -> None:
        self.book = book

    @activity.defn(name="accounts.register")
    @typed_failures
    async def register(self, entry: AccountEntry) -> None:
        """Raises InvalidInput if the user has this alias already."""
        await self.book.register(entry)

    @activity.defn(name="accounts.update")
    @typed_failures
    async def update(self, entry: AccountEntry) -> None:
        """Raises UnknownName."""
        await self.book.update(entry)

    @activity.defn(name="accounts.delete")
    @typed_failures
    async def delete(self, name: AccountName) -> None:
        """Raises UnknownName."""
        await self.book.delete(name.handle, name.alias)

    @activity.defn(name="accounts.of")
    @typed_failures
    async def of(self, user: Handle) -> list[AccountEntry]:
        return await self.book.of(user.handle)
