"""Event types of contracts, read from their declaration, and the values an event of that type carries.

Source: Solidity ABI specification, "Events".
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from connectionchain.ids import evm_address

_NAME = "[A-Za-z_$][A-Za-z0-9_$]*"
_DECLARATION = re.compile(rf"(?P<name>{_NAME})\((?P<parameters>.*)\)")
_TYPE = r"(?:u?int[0-9]*|address|bool|bytes[0-9]*|string)(?:\[[0-9]*\])*"
_PARAMETER = re.compile(rf"(?P<type>{_TYPE})(?P<indexed> indexed)?(?: (?P<name>{_NAME}))?")
_WIDTHS = {f"{sign}int{bits}" for sign in ("", "u") for bits in range(8, 257, 8)} | {f"bytes{n}" for n in range(1, 33)}

Value = int | str
"""Numbers as they are; addresses and bytes as lower-case hex, booleans as `true` and `false`."""


class Malformed(ValueError):
    """These topics and data are no event of the type, though its first topic is the type's."""


@dataclass(frozen=True)
class Parameter:
    type: str
    name: str
    indexed: bool

    @property
    def is_number(self) -> bool:
        return "int" in self.type and "[" not in self.type

    @property
    def is_hashed(self) -> bool:
        """An indexed value of no fixed length: the chain keeps only its hash."""
        return self.indexed and (self.type in ("string", "bytes") or "[" in self.type)

    def value(self, text: str) -> Value:
        """What people write for a value of this type. ValueError if it is none."""
        match self.type:
            case _ if self.is_hashed or "[" in self.type:
                raise ValueError(f"{self.name}: a {self.type} cannot be compared")
            case "address":
                return evm_address(text)
            case "bool" if text in ("true", "false"):
                return text
            case "string":
                return text
            case kind if kind.startswith("bytes") and re.fullmatch(r"0x([0-9a-fA-F]{2})*", text):
                if kind == "bytes" or len(text) == 2 + 2 * int(kind[5:]):
                    return text.lower()
            case kind if self.is_number and re.fullmatch(r"0|-?[1-9][0-9]*", text):
                with suppress(EncodingError):  # beyond its range
                    encode([kind], [int(text)])
                    return int(text)
        raise ValueError(f"{self.name}: {text!r} is no {self.type}")

    def topic(self, value: Value) -> str:
        """An indexed value as it stands in the log."""
        raw: Any = value == "true" if self.type == "bool" else value
        if self.type.startswith("bytes"):
            raw = bytes.fromhex(str(value)[2:])
        return "0x" + encode([self.type], [raw]).hex()


@dataclass(frozen=True)
class EventType:
    """Such as `Delivered(bytes32 indexed order, uint256 amount)`. Unnamed parameters are called by their number."""

    name: str
    parameters: tuple[Parameter, ...]

    @classmethod
    @lru_cache(maxsize=1024)
    def parse(cls, declaration: str) -> Self:
        """ValueError if it is not the declaration of an event."""
        whole = _DECLARATION.fullmatch(declaration)
        if not whole:
            raise ValueError(f"{declaration!r} is not written as Name(type indexed name, …)")
        parts = whole["parameters"].split(", ") if whole["parameters"] else []
        return cls(whole["name"], tuple(_parameter(part, n) for n, part in enumerate(parts)))

    @property
    def topic(self) -> str:
        """The first topic of its events."""
        return _topic(self)

    def parameter(self, name: str) -> Parameter:
        found = [each for each in self.parameters if each.name == name]
        if len(found) != 1:
            raise ValueError(f"{self.name} has no field {name!r}")
        return found[0]

    def decode(self, topics: Sequence[str], data: str) -> dict[str, Value]:
        """Raises Malformed. Of hashed values the hash is given."""
        layout = _layout(self)
        if len(topics) != 1 + len(layout.indexed):
            raise Malformed(f"{self.name} with {len(topics)} topics")
        if layout.words:
            return self._of_words(layout, layout.words, topics, data)
        kinds = ["bytes32" if each.is_hashed else each.type for each in layout.indexed]
        try:
            raw = decode(kinds, bytes.fromhex("".join(word[2:] for word in topics[1:])))
            raw += decode([each.type for each in layout.rest], bytes.fromhex(data[2:]))
        except (DecodingError, OverflowError, ValueError) as error:
            raise Malformed(f"{self.name}: {error}") from None
        return {name: _plain(value) for name, value in zip(layout.names, raw, strict=True)}

    def _of_words(self, layout: "Layout", words: re.Pattern[str], topics: Sequence[str], data: str) -> dict[str, Value]:
        """The same, fifty times as fast, where every value is one word of the commonest types: bills have many."""
        found = words.match(",".join([*topics[1:], data]))
        if not found:
            raise Malformed(f"{self.name}: {', '.join([*topics[1:], data])} are not its words")
        named = zip(layout.names, layout.makers, found.groups(), strict=True)
        return {name: make(word) for name, make, word in named}


class Layout(NamedTuple):
    """How an event is laid out in its log. `words` finds every value in its topics and data, joined by commas, if
    each is one word of the commonest types; `makers` make values of them."""

    indexed: tuple[Parameter, ...]
    rest: tuple[Parameter, ...]
    names: tuple[str, ...]
    words: re.Pattern[str] | None
    makers: tuple[Callable[[str], Value], ...]


@lru_cache(maxsize=1024)
def _layout(event: EventType) -> Layout:
    indexed = tuple(each for each in event.parameters if each.indexed)
    rest = tuple(each for each in event.parameters if not each.indexed)
    names, kinds = tuple(each.name for each in (*indexed, *rest)), [each.type for each in (*indexed, *rest)]
    if not all(kind in WORDS for kind in kinds):
        return Layout(indexed, rest, names, None, ())
    patterns = [WORDS[kind][0] for kind in kinds]
    topics = "".join(f"0x{each}," for each in patterns[: len(indexed)])
    words = re.compile(f"{topics}0x{''.join(patterns[len(indexed) :])}")
    return Layout(indexed, rest, names, words, tuple(WORDS[kind][1] for kind in kinds))


def _number(word: str) -> int:
    return int(word, 16)


def _hex(word: str) -> str:
    return f"0x{word}"


WORDS: dict[str, tuple[str, Callable[[str], Value]]] = {
    "uint256": ("([0-9a-f]{64})", _number),
    "bytes32": ("([0-9a-f]{64})", _hex),
    "address": ("0{24}([0-9a-f]{40})", _hex),
}
"""How a word of the type is written, and what it means."""


@lru_cache(maxsize=1024)
def _topic(event: EventType) -> str:
    return "0x" + keccak(text=f"{event.name}({','.join(each.type for each in event.parameters)})").hex()


def _parameter(text: str, number: int) -> Parameter:
    found = _PARAMETER.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not written as `type indexed name`")
    kind, *array = re.split(r"(?=\[)", found["type"], maxsplit=1)
    kind = {"uint": "uint256", "int": "int256"}.get(kind, kind)
    if kind[-1].isdigit() and kind not in _WIDTHS:
        raise ValueError(f"there is no type {kind}")
    return Parameter("".join([kind, *array]), found["name"] or str(number), bool(found["indexed"]))


def _plain(value: Any) -> Value:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return value
        case bytes():
            return "0x" + value.hex()
        case _:
            return f"[{', '.join(str(_plain(each)) for each in value)}]"
