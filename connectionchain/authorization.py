"""How a payer lets one leg of a deal be locked: by signature, relayed by the connection node, or on his own."""

from typing import Annotated, Literal

from eth_account.signers.base import BaseAccount
from pydantic import Field

from connectionchain.escrow import EscrowContract, Terms
from connectionchain.ids import Hex
from connectionchain.model import Model
from connectionchain.network import Token
from connectionchain.typed_data import TypedData


class Erc3009(Model):
    """`receiveWithAuthorization` to the escrow with nonce = entry id: one signature binds the whole deal.

    `signature` has 65 bytes from a key; any other length goes to the payer's contract (ERC-1271).
    `valid_before` is in Unix seconds.
    """

    type: Literal["erc3009"] = "erc3009"
    valid_before: int = Field(ge=0, lt=2**40)
    signature: Hex = Field(max_length=8194)


class Permit(Model):
    """ERC-2612 allowance for the escrow, and the payer's signature of the terms. If the allowance is there
    already (an earlier `approve`), the permit may be spent or invalid; the terms' signature decides."""

    type: Literal["permit"] = "permit"
    deadline: int = Field(ge=0, lt=2**40)
    permit_signature: Hex = Field(max_length=132)
    terms_signature: Hex = Field(max_length=8194)


class OnChain(Model):
    """The payer locks with a transaction of his own (wallet, smart account); the node only waits for it."""

    type: Literal["on_chain"] = "on_chain"


Authorization = Annotated[Erc3009 | Permit | OnChain, Field(discriminator="type")]


def erc3009_typed_data(terms: Terms, escrow: EscrowContract, token: Token, valid_before: int) -> TypedData:
    fields = [
        ("address", "from"),
        ("address", "to"),
        ("uint256", "value"),
        ("uint256", "validAfter"),
        ("uint256", "validBefore"),
        ("bytes32", "nonce"),
    ]
    message = {
        "from": terms.payer,
        "to": escrow.address,
        "value": terms.amount,
        "validAfter": 0,
        "validBefore": valid_before,
        "nonce": bytes.fromhex(terms.id(escrow)[2:]),
    }
    return TypedData(token.domain, "ReceiveWithAuthorization", fields, message)


def permit_typed_data(terms: Terms, escrow: EscrowContract, token: Token, nonce: int, deadline: int) -> TypedData:
    fields = [
        ("address", "owner"),
        ("address", "spender"),
        ("uint256", "value"),
        ("uint256", "nonce"),
        ("uint256", "deadline"),
    ]
    message = {
        "owner": terms.payer,
        "spender": escrow.address,
        "value": terms.amount,
        "nonce": nonce,
        "deadline": deadline,
    }
    return TypedData(token.domain, "Permit", fields, message)


def sign_erc3009(terms: Terms, escrow: EscrowContract, token: Token, valid_before: int, key: BaseAccount) -> Erc3009:
    """One signature locks: the usual way for a payer with a key."""
    typed = erc3009_typed_data(terms, escrow, token, valid_before)
    return Erc3009(valid_before=valid_before, signature=typed.sign(key))


def sign_permit(
    terms: Terms, escrow: EscrowContract, token: Token, nonce: int, deadline: int, key: BaseAccount
) -> Permit:
    """For tokens with ERC-2612 only. `nonce` is the token's `nonces(payer)`."""
    return Permit(
        deadline=deadline,
        permit_signature=permit_typed_data(terms, escrow, token, nonce, deadline).sign(key),
        terms_signature=terms.typed_data(escrow).sign(key),
    )
