"""The published test vectors hold for our code, and for a computation that uses none of it.

The independent one is what a browser or another language does: fill in the defaults, sort keys, hash; and EIP-712 by
hand (the deals are plain ASCII, so that `json.dumps` with sorted keys is RFC 8785).
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from connectionchain import Deal
from connectionchain.escrow import EscrowContract, Terms
from connectionchain.ids import AccountId, ChainId
from connectionchain.statements import statement

PUBLISHED = json.loads((Path(__file__).parents[2] / "docs" / "test-vectors" / "deal-id.json").read_text())
VECTORS = pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["name"].replace(" ", "_"))


@VECTORS
def test_vector__of_our_own_code(vector: dict[str, Any]) -> None:
    deal = Deal.model_validate(vector["deal"])
    assert (deal.canonical().decode(), deal.id) == (vector["canonical"], vector["id"])
    for leg, escrow_id in zip(deal.legs, vector["escrow_ids"], strict=True):
        escrow = EscrowContract(chain=leg.chain, address=PUBLISHED["escrows"][leg.chain])
        assert Terms.of(deal, leg).id(escrow) == escrow_id
    signer = AccountId(PUBLISHED["signer"])
    for kind in ("confirmation", "cancellation"):
        assert statement(kind, signer, deal.id).digest == vector[f"{kind}_digest"]
    assert ChainId("eip155:31338") == signer.chain


@VECTORS
def test_vector__computed_independently(vector: dict[str, Any]) -> None:
    canonical = json.dumps(_normal(vector["deal"]), sort_keys=True, separators=(",", ":"))
    assert canonical == vector["canonical"]
    id_ = hashlib.sha256(canonical.encode()).hexdigest()
    assert "0x" + id_ == vector["id"]
    deal = json.loads(canonical)
    assert [_escrow_id(leg, deal["expiry"], id_) for leg in deal["legs"]] == vector["escrow_ids"]
    for kind in ("Confirmation", "Cancellation"):
        assert _statement_digest(kind, id_) == vector[f"{kind.lower()}_digest"]


def test_vectors__same_deal_in_two_spellings() -> None:
    ids = {vector["name"]: vector["id"] for vector in PUBLISHED["vectors"]}
    assert ids["a purchase across two currencies"] == ids["the same purchase, spelled otherwise"]
    assert len(set(ids.values())) == len(ids) - 1


def _normal(deal: dict[str, Any]) -> dict[str, Any]:
    cancellable = deal.get("cancellable", {})
    until = cancellable.get("until")
    return {
        "version": 1,
        "legs": [leg | {"amount": str(leg["amount"])} for leg in deal["legs"]],
        "condition": _condition(deal.get("condition")),
        "cancellable": {
            "by": sorted({each.lower() for each in cancellable.get("by", [])}),
            "operator": cancellable.get("operator", False),
            "until": until and _time(until),
        },
        "decide_by": _time(deal["decide_by"]),
        "expiry": _time(deal["expiry"]),
        "reference": deal.get("reference", ""),
        "salt": deal["salt"].lower(),
    }


def _condition(given: dict[str, Any] | None) -> dict[str, Any] | None:
    match given:
        case {"of": parts}:
            return given | {"of": [_condition(part) for part in parts]}
        case {"type": "confirmed"}:
            return {"by": None} | given
    return given


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _word(value: int | str) -> bytes:
    """32 bytes of a number, an address or a hash."""
    return value.to_bytes(32) if isinstance(value, int) else bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")


def _digest(domain: bytes, type_: str, *words: int | str) -> str:
    message = keccak(keccak(text=type_) + b"".join(map(_word, words)))
    return "0x" + keccak(b"\x19\x01" + domain + message).hex()


def _escrow_id(leg: dict[str, str], expiry: str, deal: str) -> str:
    chain, _, token = leg["token"].partition("/erc20:")
    type_ = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    names = [keccak(text=type_), keccak(text="ConnectionChain Escrow"), keccak(text="1")]
    domain = keccak(b"".join([*names, _word(int(chain.split(":")[1])), _word(PUBLISHED["escrows"][chain])]))
    terms = "EscrowTerms(address payer,address payee,address token,uint96 amount,uint40 expiry,bytes32 deal)"
    payer, payee = leg["payer"].split(":")[2], leg["payee"].split(":")[2]
    seconds = int(datetime.fromisoformat(expiry).timestamp())
    return _digest(domain, terms, payer, payee, token, int(leg["amount"]), seconds, deal)


def _statement_digest(kind: str, deal: str) -> str:
    type_ = "EIP712Domain(string name,string version,uint256 chainId)"
    chain = int(PUBLISHED["signer"].split(":")[1])
    domain = keccak(keccak(text=type_) + keccak(text="ConnectionChain") + keccak(text="1") + _word(chain))
    return _digest(domain, f"{kind}(bytes32 deal)", deal)
