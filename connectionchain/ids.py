"""Chain, account and token ids in CAIP form, in one canonical spelling (EVM addresses in lower case).

Sources: CAIP-2 (chain), CAIP-10 (account), CAIP-19 (token), EIP-55 (address checksum).
"""

import re
from typing import Annotated, Any, Self

from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_CHAIN = r"(?P<chain>[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})"


class _Id(str):
    """A validated string; subclasses give the pattern and what its parts are called."""

    __slots__ = ()
    _pattern = re.compile("")
    _form = ""

    def __new__(cls, value: str) -> Self:
        if not isinstance(value, str) or not (match := cls._pattern.fullmatch(value)):
            raise ValueError(f"{value!r} is not {cls._form}")
        if "address" in match.groupdict() and value.startswith("eip155:"):
            address = match["address"]
            value = value[: -len(address)] + evm_address(address)
        return super().__new__(cls, value)

    @property
    def chain(self) -> "ChainId":
        return ChainId(self._part("chain"))

    def _part(self, name: str) -> str:
        match = self._pattern.fullmatch(self)
        assert match is not None
        return match[name]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
        )


class ChainId(_Id):
    """CAIP-2, such as `eip155:31337`."""

    __slots__ = ()
    _pattern = re.compile(_CHAIN)
    _form = "a CAIP-2 chain id such as eip155:31337"

    @property
    def reference(self) -> str:
        return self.partition(":")[2]


class AccountId(_Id):
    """CAIP-10, such as `eip155:31337:0xab16a96d359ec26a11e2c2b3d8f8b8942d5bfcdb`."""

    __slots__ = ()
    _pattern = re.compile(_CHAIN + r":(?P<address>[-.%a-zA-Z0-9]{1,128})")
    _form = "a CAIP-10 account id such as eip155:31337:0xab16a96d359ec26a11e2c2b3d8f8b8942d5bfcdb"

    @property
    def address(self) -> str:
        return self._part("address")


class TokenId(_Id):
    """CAIP-19 without a token number, such as `eip155:31337/erc20:0x6b17…`."""

    __slots__ = ()
    _pattern = re.compile(_CHAIN + r"/[-a-z0-9]{3,8}:(?P<address>[-.%a-zA-Z0-9]{1,128})")
    _form = "a CAIP-19 token id such as eip155:31337/erc20:0x6b175474e89094c44da98b954eedeac495271d0f"

    @property
    def address(self) -> str:
        return self._part("address")


def evm_address(text: str) -> str:
    """`text` as a lower-case EVM address; ValueError if it is none or its EIP-55 checksum is wrong."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ValueError(f"{text!r} is not an EVM address (0x and 40 hex digits)")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(text):
        raise ValueError(f"{text!r} has a wrong EIP-55 checksum: a digit is mistyped")
    return text.lower()


def _hex(length: int | None) -> Any:
    def check(text: str) -> str:
        if not re.fullmatch(r"0x([0-9a-fA-F]{2})*", text) or (length and len(text) != 2 + 2 * length):
            raise ValueError(f"{text!r} is not 0x and {2 * length if length else 'pairs of'} hex digits")
        return text.lower()

    return AfterValidator(check)


EvmAddress = Annotated[str, AfterValidator(evm_address)]
Hex = Annotated[str, _hex(None)]
Hex32 = Annotated[str, _hex(32)]
Hex64 = Annotated[str, _hex(64)]
