"""Writes deal-id.json from our own code; tests/connectionchain/test_vectors.py recomputes it without any of it.

Run it as `python docs/test-vectors/make.py` after a change that is meant to change ids (there should be none).
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from connectionchain import Deal  # noqa: E402
from connectionchain.escrow import EscrowContract, Terms  # noqa: E402
from connectionchain.ids import AccountId, ChainId  # noqa: E402
from connectionchain.statements import statement  # noqa: E402

A, B = (f"eip155:{chain}/erc20:0x{digits * 20}" for chain, digits in ((31337, "a1"), (31338, "b2")))
HANAKO, LIQUIDITY_A = (f"eip155:31337:0x{digits * 20}" for digits in ("11", "33"))
SHOP, LIQUIDITY_B = (f"eip155:31338:0x{digits * 20}" for digits in ("2c", "33"))
ESCROWS = {"eip155:31337": "0x" + "e1" * 20, "eip155:31338": "0x" + "e2" * 20}
TIMES = {"decide_by": "2027-01-01T00:00:00Z", "expiry": "2027-01-01T01:00:00Z"}
PURCHASE = [
    {"token": A, "payer": HANAKO, "payee": LIQUIDITY_A, "amount": "1263"},
    {"token": B, "payer": LIQUIDITY_B, "payee": SHOP, "amount": "1000"},
]

DEALS: dict[str, dict[str, Any]] = {
    "the least a deal can say": {"legs": PURCHASE[:1], **TIMES, "salt": "0x" + "00" * 32},
    "a purchase across two currencies": {
        "legs": PURCHASE,
        "condition": {"type": "confirmed", "by": SHOP},
        "cancellable": {"by": [SHOP]},
        **TIMES,
        "reference": "order-4711",
        "salt": "0x" + "5a" * 32,
    },
    "the same purchase, spelled otherwise": {
        "salt": "0x" + "5A" * 32,
        "reference": "order-4711",
        "expiry": "2027-01-01T10:00:00+09:00",
        "decide_by": "2027-01-01T00:00:00.000Z",
        "cancellable": {"by": ["eip155:31338:0x" + "2C" * 20, SHOP]},
        "condition": {"by": SHOP, "type": "confirmed"},
        "legs": [PURCHASE[0] | {"amount": 1263}, PURCHASE[1]],
        "version": 1,
    },
    "the largest amount, and every kind of condition": {
        "legs": [PURCHASE[0] | {"amount": str(2**96 - 1)}, PURCHASE[1] | {"amount": "1"}],
        "condition": {
            "type": "all_of",
            "of": [
                {"type": "any_of", "of": [{"type": "confirmed", "by": SHOP}, {"type": "confirmed"}]},
                {"type": "time_reached", "at": "2026-12-31T23:59:59Z"},
            ],
        },
        "cancellable": {"by": [SHOP, HANAKO], "operator": True, "until": "2026-12-31T00:00:00Z"},
        **TIMES,
        "salt": "0x" + "ff" * 32,
    },
}


def vector(name: str, given: dict[str, Any]) -> dict[str, Any]:
    deal = Deal.model_validate(given)
    escrows = {chain: EscrowContract(chain=ChainId(chain), address=at) for chain, at in ESCROWS.items()}
    return {
        "name": name,
        "deal": given,
        "canonical": deal.canonical().decode(),
        "id": deal.id,
        "escrow_ids": [Terms.of(deal, leg).id(escrows[leg.chain]) for leg in deal.legs],
        "confirmation_digest": statement("confirmation", AccountId(SHOP), deal.id).digest,
        "cancellation_digest": statement("cancellation", AccountId(SHOP), deal.id).digest,
    }


if __name__ == "__main__":
    vectors = [vector(name, given) for name, given in DEALS.items()]
    content = {
        "about": "id = sha256(canonical); canonical = RFC 8785 JSON of the deal with defaults filled in and ids, times "
        "and amounts in one spelling. escrow_ids are EIP-712 digests of each leg's terms for `escrows`; the statement "
        "digests are those `signer` signs (EIP-712).",
        "escrows": ESCROWS,
        "signer": SHOP,
        "vectors": vectors,
    }
    (HERE / "deal-id.json").write_text(json.dumps(content, indent=2) + "\n")
