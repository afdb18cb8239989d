"""Call data goes to functions that the compiled contract has."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from adapters.base import Lock, Reclaim, Refund, Release
from adapters.evm.calls import call_forms
from connectionchain.authorization import Erc3009, OnChain, Permit
from connectionchain.errors import Rejected
from connectionchain.escrow import EscrowContract, Terms
from connectionchain.ids import ChainId

ABI = json.loads((Path(__file__).parents[2] / "contracts" / "artifacts" / "Escrow.json").read_text())["abi"]
ESCROW = EscrowContract(chain=ChainId("eip155:31337"), address="0x" + "ee" * 20)
KEY = Account.create()
EXPIRY = int((datetime.now(UTC) + timedelta(days=1)).timestamp())
TERMS = Terms(
    payer=KEY.address, payee="0x" + "22" * 20, token="0x" + "33" * 20, amount=5, expiry=EXPIRY, deal="0x" + "44" * 32
)
KEYS_SIGNATURE = TERMS.typed_data(ESCROW).sign(KEY)
COMPACT = "0x" + "55" * 64


def _type(field: dict[str, Any]) -> str:
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    return "(" + ",".join(map(_type, field["components"])) + ")" + field["type"].removeprefix("tuple")


SELECTORS = {
    "0x" + keccak(text=f"{each['name']}({','.join(map(_type, each['inputs']))})")[:4].hex(): each["name"]
    for each in ABI
    if each["type"] == "function"
}


@pytest.mark.parametrize(
    ("operation", "function"),
    [
        (Lock(TERMS, Erc3009(valid_before=1, signature=KEYS_SIGNATURE)), "lockWithAuthorization"),
        (Lock(TERMS, Erc3009(valid_before=1, signature="0x" + "66" * 100)), "lockWithAuthorization"),
        (Lock(TERMS, Permit(deadline=1, permit_signature=KEYS_SIGNATURE, terms_signature="0x66")), "lockWithPermit"),
        (Lock(TERMS, Permit(deadline=1, permit_signature="0x", terms_signature="0x66")), "lockWithPermit"),
        (Release((TERMS,), (COMPACT,)), "releaseBatch"),
        (Refund(TERMS, (COMPACT, COMPACT)), "refund"),
        (Reclaim(TERMS), "reclaim"),
    ],
)
def test_call__is_of_a_function_there_is(operation: Any, function: str) -> None:
    assert {SELECTORS[each[:10]] for each in call_forms(operation, ESCROW)} == {function}


def test_call__of_a_lock_the_payer_sends_himself_is_not_ours() -> None:
    with pytest.raises(Rejected) as refusal:
        call_forms(Lock(TERMS, OnChain()), ESCROW)
    assert refusal.value.field == "authorization"


@pytest.mark.parametrize("signature", ["0x" + "00" * 65, "0x" + "ff" * 65])
def test_call__with_65_bytes_that_are_no_signature_is_left_to_the_contract(signature: str) -> None:
    """Whoever may start deals may send any bytes: they must not break the activity for ever."""
    (data,) = call_forms(Lock(TERMS, Erc3009(valid_before=1, signature=signature)), ESCROW)
    assert SELECTORS[data[:10]] == "lockWithAuthorization"


def test_call__with_a_keys_signature_may_be_a_contract_owners_too() -> None:
    forms = call_forms(Lock(TERMS, Erc3009(valid_before=1, signature=KEYS_SIGNATURE)), ESCROW)
    assert len({each[:10] for each in forms}) == 2
