"""Operations as call data of the escrow contract."""

from adapters.base import Anchor, Lock, Meter, Operation, Reclaim, Refund, Release
from connectionchain.authorization import Erc3009, OnChain, Permit
from connectionchain.errors import Rejected
from connectionchain.escrow import TERMS, EscrowContract, call, meter_call, reclaim_call, refund_call, release_call
from connectionchain.typed_data import compact


def call_forms(operation: Operation, escrow: EscrowContract) -> list[str]:
    """The calls that would do it, the likeliest first."""
    match operation:
        case Lock():
            return _lock_forms(operation)
        case Release(terms, signatures):
            return [release_call(terms, [each.id(escrow) for each in terms], signatures)]
        case Refund(terms, signatures):
            return [refund_call(terms, signatures)]
        case Reclaim(terms):
            return [reclaim_call(terms)]
        case Meter(terms, cumulative, signatures, close):
            return [meter_call(terms, cumulative, signatures, close)]
        case Anchor(checkpoint):
            return ["0x" + checkpoint.encode().hex()]


def _lock_forms(lock: Lock) -> list[str]:
    """What looks like a key's signature may be the one of a contract's owner: tokens take those in another form."""
    row = lock.terms.row
    match lock.authorization:
        case Erc3009(valid_before=before, signature=signature):
            raw = bytes.fromhex(signature[2:])
            forms = [call(f"lockWithAuthorization({TERMS},uint256,bytes)", row, before, raw)]
            if _of_a_key(signature):
                half = bytes.fromhex(compact(signature)[2:])
                key_form = f"lockWithAuthorization({TERMS},(uint256,bytes32,bytes32))"
                forms.insert(0, call(key_form, row, (before, half[:32], half[32:])))
            return forms
        case Permit() as permit:
            raw = bytes.fromhex(permit.permit_signature[2:]).ljust(65, b"\0")
            only = call(
                f"lockWithPermit({TERMS},uint256,uint8,bytes32,bytes32,bytes)",
                row,
                permit.deadline,
                raw[64],
                raw[:32],
                raw[32:64],
                bytes.fromhex(permit.terms_signature[2:]),
            )
            return [only]
        case OnChain():
            raise Rejected(
                "the payer has not locked it yet", field="authorization", remedy="the payer locks it with his own key"
            )


def _of_a_key(signature: str) -> bool:
    """Whether it is r, s, v with a low s. Anything else is the payer's contract's affair, or nobody's."""
    raw = bytes.fromhex(signature[2:])
    return len(raw) == 65 and raw[64] in (27, 28) and raw[32] < 0x80
