"""Options that many commands share, and what they stand for."""

import asyncio
import json
import os
import re
import stat
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from eth_account import Account
from eth_account.signers.local import LocalAccount
from pydantic import BaseModel, ValidationError

from connectionchain.cli import output
from connectionchain.client.config import NETWORK_VARIABLE, find_network
from connectionchain.deal import Deal
from connectionchain.errors import InvalidInput
from connectionchain.mandate import Agreement, Mandate, kind_of
from connectionchain.network import Network

KEY_VARIABLE = "CONNECTIONCHAIN_KEY"
ID = r"0x[0-9a-fA-F]{64}"
MEANT = {
    "deal": "its id (0x and 64 hex digits), or a file that holds it",
    "quote": "what `quote --json` wrote",
    "mandate": "a mandate in JSON, or what `bills show --json` wrote",
    "certificate": "what `deals show --json` wrote of a decided deal",
}
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

NetworkFile = Annotated[
    Path | None,
    typer.Option(
        "--network",
        envvar=NETWORK_VARIABLE,
        help="Network file. Default: ./connectionchain.json, then ./.connectionchain/connectionchain.json.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; errors as JSON on stderr.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", help=f"File with a private key, 0x and 64 hex digits. Default: the key in {KEY_VARIABLE}."
    ),
]
DealRef = Annotated[
    str, typer.Argument(metavar="DEAL", help="A deal's id, or a file that holds it (as `deals show --json` writes).")
]
AgreementRef = Annotated[
    str,
    typer.Argument(
        metavar="DEAL|MANDATE", help="Its id, or a file that holds it (as `deals show --json`, `bills show --json`)."
    ),
]


def network(path: Path | None) -> Network:
    return Network.load(find_network(path))


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def deal(given: str) -> Deal | str:
    """An id as it is; a file's deal, which is at its top level or under "deal"."""
    if re.fullmatch(ID, given):
        return given.lower()
    return model_in(Path(given), "deal", Deal)


def agreement(given: str) -> Agreement | str:
    """The same for a deal or a mandate."""
    if re.fullmatch(ID, given):
        return given.lower()
    content = _content(Path(given), "deal")
    found = _under(content, "deal") or _under(content, "mandate") or content
    return _valid(found, "mandate", Mandate) if kind_of(found) == "mandate" else _valid(found, "deal", Deal)


def model_in(path: Path, name: str, model: type[M]) -> M:
    """The `model` in a JSON file: under `name`, however deep, or the whole of it."""
    content = _content(path, name)
    return _valid(_under(content, name) or content, name, model)


def _content(path: Path, name: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise InvalidInput(f"{str(path)!r} is no JSON file", field=name, remedy=f"give {MEANT[name]}") from None


def _valid(content: Any, name: str, model: type[M]) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = InvalidInput.of(error)
        raise InvalidInput(problem.message, field=f"{name}.{problem.field}", remedy=problem.remedy) from None


def _under(content: Any, name: str) -> Any:
    if not isinstance(content, dict):
        return None
    return content.get(name) or next(filter(None, (_under(each, name) for each in content.values())), None)


def key(file: Path | None) -> LocalAccount:
    """From the file, else from the environment; never from the command line. Never shown."""
    text = _read(file) if file else os.environ.get(KEY_VARIABLE, "")
    if not text:
        raise InvalidInput("a key is needed", field="key", remedy=f"give --key-file, or set {KEY_VARIABLE}")
    try:
        account: LocalAccount = Account.from_key(bytes.fromhex(text.strip().removeprefix("0x")))
    except Exception:  # whatever it is, its text may hold the key
        raise InvalidInput(
            "not a private key", field="key", remedy="it is 0x and 64 hex digits, and nothing else"
        ) from None
    return account


def _read(file: Path) -> str:
    try:
        text = file.read_text()
        readable = file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read", field="key", remedy=type(error).__name__) from None
    if readable:
        output.warning(f"{file} can be read by others: chmod 600 it")
    return text


def time(text: str | None) -> datetime | None:
    """RFC 3339, or None."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a time", field="time", remedy="write it as 2026-11-22T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
