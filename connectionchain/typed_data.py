"""EIP-712: digests of typed data, and signatures over them in their two lengths (65 bytes, ERC-2098 compact)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.base import BaseAccount
from eth_keys.constants import SECPK1_N
from eth_utils.crypto import keccak

Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class TypedData:
    """One EIP-712 message: domain, the primary type's fields, and the values."""

    domain: Mapping[str, Any]
    type: str
    fields: Fields
    message: Mapping[str, Any]

    def signable(self) -> SignableMessage:
        types = {self.type: [{"name": name, "type": type_} for type_, name in self.fields]}
        return encode_typed_data(dict(self.domain), types, dict(self.message))

    @property
    def digest(self) -> str:
        """The 32 bytes that are signed, 0x-prefixed."""
        message = self.signable()
        return "0x" + keccak(b"\x19" + message.version + message.header + message.body).hex()

    def sign(self, signer: BaseAccount) -> str:
        """A 65-byte signature (r, s, v), 0x-prefixed."""
        return "0x" + bytes(signer.sign_message(self.signable()).signature).hex()

    def signer_of(self, signature: str) -> str | None:
        """The lower-case address that made this 65-byte signature; None if it is malformed or has a high s.

        A high s is the malleable twin of a valid signature (EIP-2): refused, as OpenZeppelin's ECDSA does.
        """
        raw = bytes.fromhex(signature[2:])
        if len(raw) != 65 or int.from_bytes(raw[32:64]) > SECPK1_N // 2 or raw[64] not in (27, 28):
            return None
        try:
            return str(Account.recover_message(self.signable(), signature=raw)).lower()
        except Exception:  # the curve library's many errors all mean: not a signature
            return None


def compact(signature: str) -> str:
    """ERC-2098: 65 bytes (r, s, v) to 64 bytes (r, yParity ‖ s)."""
    raw = bytes.fromhex(signature[2:])
    s = int.from_bytes(raw[32:64]) | (raw[64] - 27) << 255
    return "0x" + (raw[:32] + s.to_bytes(32)).hex()


def expanded(signature: str) -> str:
    """ERC-2098 back: 64 bytes to 65."""
    raw = bytes.fromhex(signature[2:])
    vs = int.from_bytes(raw[32:])
    return "0x" + (raw[:32] + (vs & (1 << 255) - 1).to_bytes(32) + bytes([27 + (vs >> 255)])).hex()
