"""The account book's entries: under which names a user's accounts on the chains are known."""

from pydantic import Field

from connectionchain.ids import AccountId
from connectionchain.model import Model

HANDLE = r"^[-_.a-z0-9]{1,64}$"


class AccountEntry(Model):
    """A user's account on some chain: `handle` is the user, `alias` what the user calls the account."""

    handle: str = Field(pattern=HANDLE)
    alias: str = Field(min_length=1, max_length=64)
    account: AccountId


class AccountName(Model):
    """Names one entry of the book."""

    handle: str = Field(pattern=HANDLE)
    alias: str = Field(min_length=1, max_length=64)


class Handle(Model):
    """Names a user of the book."""

    handle: str = Field(pattern=HANDLE)
