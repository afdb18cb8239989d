"""Base64 and decimal in their one canonical spelling each, so that a text has one reading and one form."""

import base64
import binascii
import re

from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.merkle import HASH

LARGEST = 2**63 - 1


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode(text: str, field: str) -> bytes:
    """RFC 4648 section 4, with padding and without stray bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadProof(f"{text[:80]!r} is not base64", field=field) from None
    if encode(data) != text:
        raise BadProof(f"{text[:80]!r} is not canonical base64", field=field)
    return data


def decode_hash(text: str, field: str) -> bytes:
    data = decode(text, field)
    if len(data) != HASH:
        raise BadProof(f"has {len(data)} bytes, a SHA-256 hash has {HASH}", field=field)
    return data


def decimal(text: str, field: str) -> int:
    """A non-negative ASCII decimal without leading zeroes, below 2^63."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or int(text) > LARGEST:
        raise BadProof(f"{text[:80]!r} is not a decimal number without leading zeroes", field=field)
    return int(text)
