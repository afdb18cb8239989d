"""The base of every value that is stored, signed or sent: frozen, strict about unknown fields, canonical."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> bytes:
        """RFC 8785 canonical JSON (JCS)."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    def sha256(self) -> str:
        """0x-prefixed SHA-256 of the canonical JSON."""
        return "0x" + hashlib.sha256(self.canonical()).hexdigest()


def _whole_seconds(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("has no time zone: write it as RFC 3339, such as 2026-11-22T12:00:00Z")
    if time.microsecond:
        raise ValueError("has a fraction of a second: chain time counts whole seconds")
    return time.astimezone(UTC)


def rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, AfterValidator(_whole_seconds), PlainSerializer(rfc3339, return_type=str, when_used="json")]


def chain_time(seconds: int) -> datetime:
    """A block's timestamp as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def json_of(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json")
