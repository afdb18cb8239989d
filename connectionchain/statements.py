"""What parties sign about a deal as a whole: that they confirm it, or cancel it (EIP-712, ERC-1271 too)."""

from typing import Any, Literal

from eth_account.signers.base import BaseAccount
from pydantic import Field

from connectionchain.conditions import OPERATOR
from connectionchain.ids import AccountId, Hex
from connectionchain.model import Model
from connectionchain.typed_data import TypedData


class Statement(Model):
    """`by` says `kind` of the deal. Without `by` it is a trusted operator's word, unsigned."""

    kind: Literal["confirmation", "cancellation"]
    by: AccountId | None = None
    signature: Hex = Field(default="0x", max_length=4096)

    @property
    def label(self) -> str:
        """Such as `confirmation by eip155:1:0x…`."""
        return f"{self.kind} by {self.by or OPERATOR}"

    def typed_data(self, deal: str) -> TypedData:
        assert self.by is not None
        return statement(self.kind, self.by, deal)


def statement(kind: str, by: AccountId, deal: str) -> TypedData:
    """The message `by` signs: bound to the deal's id and to the chain the account lives on."""
    domain: dict[str, Any] = {
        "name": "ConnectionChain",
        "version": "1",
        "chainId": int(by.chain.reference),
    }
    return TypedData(domain, kind.capitalize(), [("bytes32", "deal")], {"deal": bytes.fromhex(deal[2:])})


def signed(kind: Literal["confirmation", "cancellation"], deal: str, by: AccountId, key: BaseAccount) -> Statement:
    """A statement signed with a key in hand; `by` must be the key's own account on some chain."""
    return Statement(kind=kind, by=by, signature=statement(kind, by, deal).sign(key))
