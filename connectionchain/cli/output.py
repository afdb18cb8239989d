"""What commands print: tables for people, one JSON document for programs."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connectionchain.errors import ConnectionChainError
from connectionchain.model import rfc3339

WIDE = 400
"""Columns: ids stay whole, to be copied; a narrow terminal wraps the line."""


def document(content: Any) -> None:
    """Models by their own JSON: amounts are strings of base units."""
    sys.stdout.write(json.dumps(to_jsonable_python(content), indent=2) + "\n")


def line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    shown = Table(*columns, title=title or None, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*map(escape, row))
    Console(highlight=False, width=WIDE).print(shown)


def warning(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")


def failure(error: ConnectionChainError, as_json: bool) -> None:
    if not as_json:
        sys.stderr.write(f"{error}\n")
        return
    content = {"error": type(error).__name__, "message": error.message, "field": error.field, "remedy": error.remedy}
    sys.stderr.write(json.dumps(content) + "\n")


def when(time: datetime | None) -> str:
    return rfc3339(time) if time else ""
