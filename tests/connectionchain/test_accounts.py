"""The account book: users' accounts by name, and paying a user by name."""

import secrets

import pytest

from connectionchain import AccountId, State
from connectionchain.accounts import AccountEntry
from connectionchain.cli.main import main
from connectionchain.errors import InvalidInput, UnknownName


def entry(handle: str, alias: str, account: AccountId) -> AccountEntry:
    return AccountEntry(handle=handle, alias=alias, account=account)


async def test_accounts__registered_changed_listed_deleted(scene) -> None:
    book, user = scene.stack.client.accounts, f"user-{secrets.token_hex(4)}"
    a, b = scene.account("A", await scene.person()), scene.account("B", await scene.person())
    await book.register(entry(user, "till", a))
    await book.register(entry(user, "savings", b))
    assert [each.alias for each in await book.of(user)] == ["savings", "till"]
    with pytest.raises(InvalidInput, match="till already"):
        await book.register(entry(user, "till", b))
    await book.update(entry(user, "till", b))
    assert {each.account for each in await book.of(user)} == {b}
    await book.delete(user, "savings")
    assert [each.alias for each in await book.of(user)] == ["till"]
    with pytest.raises(UnknownName, match="savings"):
        await book.delete(user, "savings")


async def test_pay__a_user_by_name(scene) -> None:
    client, shop, user = scene.stack.client, await scene.person(), f"shop-{secrets.token_hex(4)}"
    hanako = await scene.person("A")
    quote = await client.quote("A", "1 B")
    with pytest.raises(UnknownName, match="no account on"):
        await client.pay(quote, hanako, user)
    await client.accounts.register(entry(user, "till", scene.account("B", shop)))
    deal = await client.pay(quote, hanako, user)
    await client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await scene.has("B", shop) == [quote.receive.amount]


def test_cli__a_bad_handle_is_named(capsys) -> None:
    assert main(["accounts", "add", "Not A Handle", "till", "eip155:1:0x" + "ab" * 20]) == InvalidInput.exit_code
    assert "handle" in capsys.readouterr().err
