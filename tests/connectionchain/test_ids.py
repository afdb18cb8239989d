"""Chains, accounts and tokens have one spelling each."""

import pytest

from connectionchain.ids import AccountId, ChainId, TokenId, evm_address

MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # from EIP-55
LOWER = MIXED.lower()


def test_address__in_every_valid_spelling_is_one() -> None:
    spellings = [MIXED, LOWER, "0x" + LOWER[2:].upper()]
    assert {evm_address(each) for each in spellings} == {LOWER}
    assert {AccountId(f"eip155:1:{each}") for each in spellings} == {f"eip155:1:{LOWER}"}
    assert {TokenId(f"eip155:1/erc20:{each}") for each in spellings} == {f"eip155:1/erc20:{LOWER}"}


@pytest.mark.parametrize(
    "text", [MIXED.replace("aA", "Aa"), MIXED[:-1], MIXED + "0", MIXED[2:], "0X" + LOWER[2:], LOWER + "\n", "", "0x"]
)
def test_address__that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"checksum|not an EVM address"):
        evm_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "eip155", "eip155:", ":1", "EIP155:1", "eip155:1:2", "ei:1", "eip155:1 ", "eip155:1\n", "eip155:" + "1" * 33],
)
def test_chain__that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="CAIP-2"):
        ChainId(text)


def test_account__tells_its_parts() -> None:
    account = AccountId(f"eip155:31337:{MIXED}")
    assert (account.chain, account.chain.reference, account.address) == ("eip155:31337", "31337", LOWER)


def test_token__tells_its_parts() -> None:
    token = TokenId(f"eip155:31337/erc20:{MIXED}")
    assert (token.chain, token.address) == ("eip155:31337", LOWER)


@pytest.mark.parametrize(
    "text", [f"eip155:1/{LOWER}", f"eip155:1/erc20/{LOWER}", f"eip155:1:{LOWER}", f"eip155:1/erc721:{LOWER}/1"]
)
def test_token__that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="CAIP-19"):
        TokenId(text)


def test_account__of_another_family_keeps_its_spelling() -> None:
    bitcoin = "bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6"
    assert AccountId(bitcoin) == bitcoin
