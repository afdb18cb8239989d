"""Reverts in words. Source: the custom errors of contracts/src and of OpenZeppelin's ERC-20 (ERC-6093)."""

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from connectionchain.errors import InsufficientFunds, Rejected, Unavailable
from connectionchain.escrow import Status

_SIGNATURES = (
    "ZeroAmount(bytes32)",
    "BadParties(address,address)",
    "NoCode(address)",
    "NotPayer(address,address)",
    "BadTermsSignature(bytes32,address)",
    "BadStatus(bytes32,uint8)",
    "Expired(bytes32,uint256)",
    "NotExpired(bytes32,uint256)",
    "AboveAmount(bytes32,uint256,uint256)",
    "BalanceMismatch(address,uint256,uint256)",
    "NotAttestor(address)",
    "NotAscending(address,address)",
    "WrongSignatureCount(uint256,uint256)",
    "LengthMismatch(uint256,uint256)",
    "BadSignature(address,bytes32)",
    "ECDSAInvalidSignature()",
    "ECDSAInvalidSignatureLength(uint256)",
    "ECDSAInvalidSignatureS(bytes32)",
    "ReentrancyGuardReentrantCall()",
    "SafeERC20FailedOperation(address)",
    "ERC20InsufficientBalance(address,uint256,uint256)",
    "ERC20InsufficientAllowance(address,uint256,uint256)",
    "ERC3009InvalidSignature()",
    "ERC3009ConsumedAuthorization(address,bytes32)",
    "ERC3009InvalidAuthorizationTime(uint256,uint256)",
    "Error(string)",
)
_BY_SELECTOR = {keccak(text=signature)[:4]: signature for signature in _SIGNATURES}
_FUNDS = ("ERC20InsufficientBalance", "ERC20InsufficientAllowance")


def rejection(message: str, data: str) -> Rejected | Unavailable:
    """The error a revert means; `data` is its 0x-prefixed return data, possibly empty. What only has to wait for the
    chain's clock is no rejection."""
    raw = bytes.fromhex(data[2:]) if data.startswith("0x") else b""
    signature = _BY_SELECTOR.get(raw[:4])
    unknown = Rejected(f"the contract reverts: {message}", field="operation", remedy="see the contract's rules")
    if signature is None:
        return unknown
    name, _, types = signature[:-1].partition("(")
    try:
        values = decode(types.split(","), raw[4:]) if types else ()
    except DecodingError:
        return unknown
    kind = InsufficientFunds if name in _FUNDS else Unavailable if name == "NotExpired" else Rejected
    return kind(_words(name, values), field="operation", remedy=_REMEDY.get(name, "see the contract's rules"))


def _words(name: str, values: tuple[object, ...]) -> str:
    if name == "BadStatus":
        values = (values[0], Status(int(str(values[1]))).name.lower())
    shown = ("0x" + value.hex() if isinstance(value, bytes) else str(value) for value in values)
    return f"the contract reverts: {name}({', '.join(shown)})"


_REMEDY = {
    "ERC20InsufficientBalance": "the payer needs more of the token",
    "ERC20InsufficientAllowance": "the payer must approve the escrow for the amount",
    "BadTermsSignature": "the terms must be signed by the leg's payer, for this chain and escrow",
    "BadSignature": "the authorisation must be signed by the leg's payer, for this token",
    "ERC3009InvalidSignature": "the authorisation must be signed by the leg's payer, for this token",
    "ERC3009ConsumedAuthorization": "this authorisation was used or cancelled: make a new deal",
    "ERC3009InvalidAuthorizationTime": "the authorisation has run out: make a new deal",
}
