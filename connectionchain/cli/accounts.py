"""`accounts`: the account book."""

from typing import Annotated

import typer
from pydantic import ValidationError

from connectionchain.accounts import AccountEntry
from connectionchain.cli import options, output
from connectionchain.client import Client
from connectionchain.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="The account book: users' accounts by name.")

Who = Annotated[str, typer.Argument(metavar="HANDLE", help="The user, such as bookstore.")]
Alias = Annotated[str, typer.Argument(help="What the user calls the account.")]
Account = Annotated[str, typer.Argument(help="CAIP-10 account, such as eip155:1:0x…")]


@app.command("list")
def list_(handle: Who, network: options.NetworkFile = None, as_json: options.Json = False) -> None:
    """List a user's accounts."""

    async def work() -> None:
        found = await (await Client.connect(options.network(network))).accounts.of(handle)
        if as_json:
            return output.document(found)
        output.table(("user", "alias", "account"), [(each.handle, each.alias, each.account) for each in found])

    options.run(work())


@app.command()
def add(handle: Who, alias: Alias, account: Account, network: options.NetworkFile = None) -> None:
    """Register an account of a user."""
    entry = _entry(handle, alias, account)

    async def work() -> None:
        await (await Client.connect(options.network(network))).accounts.register(entry)

    options.run(work())


@app.command()
def change(handle: Who, alias: Alias, account: Account, network: options.NetworkFile = None) -> None:
    """Put another account under a known alias."""
    entry = _entry(handle, alias, account)

    async def work() -> None:
        await (await Client.connect(options.network(network))).accounts.update(entry)

    options.run(work())


@app.command()
def remove(handle: Who, alias: Alias, network: options.NetworkFile = None) -> None:
    """Remove an account from the book."""

    async def work() -> None:
        await (await Client.connect(options.network(network))).accounts.delete(handle, alias)

    options.run(work())


def _entry(handle: str, alias: str, account: str) -> AccountEntry:
    try:
        return AccountEntry.model_validate({"handle": handle, "alias": alias, "account": account})
    except ValidationError as error:
        raise InvalidInput.of(error) from None
