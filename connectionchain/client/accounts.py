"""The account book: a user's accounts by the names they are known under."""

from connectionchain.accounts import AccountEntry, AccountName, Handle
from connectionchain.client.engine import Engine
from connectionchain.errors import UnknownName
from connectionchain.ids import AccountId, ChainId
from connectionchain.rates import TASK_QUEUE


class Accounts:
    """Raises Unavailable if nobody keeps the book."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def register(self, entry: AccountEntry) -> None:
        """Raises InvalidInput if the user has this alias already."""
        await self._engine.ask(TASK_QUEUE, "accounts.register", entry, result=type(None))

    async def update(self, entry: AccountEntry) -> None:
        """Another account under a known alias. Raises UnknownName."""
        await self._engine.ask(TASK_QUEUE, "accounts.update", entry, result=type(None))

    async def delete(self, handle: str, alias: str) -> None:
        """Raises UnknownName."""
        name = AccountName(handle=handle, alias=alias)
        await self._engine.ask(TASK_QUEUE, "accounts.delete", name, result=type(None))

    async def of(self, handle: str) -> list[AccountEntry]:
        """The user's accounts by alias; none for an unknown user."""
        return list(await self._engine.ask(TASK_QUEUE, "accounts.of", Handle(handle=handle), result=list[AccountEntry]))

    async def on(self, chain: ChainId, handle: str) -> AccountId:
        """The user's account on a chain, the first by alias. Raises UnknownName."""
        for entry in await self.of(handle):
            if entry.account.chain == chain:
                return entry.account
        raise UnknownName(
            f"{handle} has no account on {chain}", field="payee", remedy="see `connectionchain accounts list`"
        )
