"""Every error of our contracts is told in words, with its operands, and sorted into what may be done about it."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from adapters.evm.reverts import rejection
from connectionchain.errors import InsufficientFunds, Rejected, Unavailable

ARTEFACTS = Path(__file__).parents[2] / "contracts" / "artifacts"
PAYER, ID = "0x" + "ab" * 20, bytes.fromhex("cd" * 32)


def revert(signature: str, *values: object) -> str:
    types = signature[signature.index("(") + 1 : -1]
    return "0x" + (keccak(text=signature)[:4] + (encode(types.split(","), values) if types else b"")).hex()


@pytest.mark.parametrize(
    ("signature", "values", "kind", "words"),
    [
        (
            "ERC20InsufficientBalance(address,uint256,uint256)",
            (PAYER, 99, 100),
            InsufficientFunds,
            f"({PAYER}, 99, 100)",
        ),
        ("ERC20InsufficientAllowance(address,uint256,uint256)", (PAYER, 0, 5), InsufficientFunds, f"({PAYER}, 0, 5)"),
        ("BadStatus(bytes32,uint8)", (ID, 3), Rejected, f"(0x{ID.hex()}, released)"),
        ("Expired(bytes32,uint256)", (ID, 7), Rejected, f"(0x{ID.hex()}, 7)"),
        ("NotExpired(bytes32,uint256)", (ID, 7), Unavailable, f"(0x{ID.hex()}, 7)"),
        ("ERC3009InvalidSignature()", (), Rejected, "ERC3009InvalidSignature()"),
        ("Error(string)", ("frozen",), Rejected, "(frozen)"),
    ],
)
def test_revert__in_words(signature: str, values: tuple[object, ...], kind: type, words: str) -> None:
    error = rejection("execution reverted", revert(signature, *values))
    assert type(error) is kind
    assert signature.partition("(")[0] in error.message
    assert words in error.message
    assert error.field
    assert error.remedy


@pytest.mark.parametrize("data", ["", "0x", "0x12345678", "nonsense"])
def test_revert__that_is_unknown_keeps_the_nodes_words(data: str) -> None:
    error = rejection("out of coffee", data)
    assert type(error) is Rejected
    assert "out of coffee" in error.message


def test_revert__cut_short_is_still_a_rejection() -> None:
    error = rejection("execution reverted", revert("Expired(bytes32,uint256)", ID, 7)[:40])
    assert type(error) is Rejected


def test_revert__of_every_error_of_the_escrow_is_known() -> None:
    """A connection node may meet any of them but those of deploying the escrow and of rotating its attestors."""
    abi = json.loads((ARTEFACTS / "Escrow.json").read_text())["abi"]
    others = {"BadRotationDelay", "BadThreshold", "NotScheduled", "TooEarly", "TooManyAttestors"}
    others |= {"InvalidShortString", "StringTooLong"}
    unknown = []
    for each in abi:
        if each["type"] == "error" and each["name"] not in others:
            signature = f"{each['name']}({','.join(field['type'] for field in each['inputs'])})"
            values = [_some(field["type"]) for field in each["inputs"]]
            if each["name"] not in rejection("execution reverted", revert(signature, *values)).message:
                unknown.append(signature)
    assert unknown == []


def _some(type_: str) -> object:
    if type_.startswith("bytes"):
        return ID
    return PAYER if type_ == "address" else 1
