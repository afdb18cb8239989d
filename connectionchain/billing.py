"""What is said to and by the billing workflow: its start, its messages, its state and its result."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from eth_account.signers.base import BaseAccount
from pydantic import Field

from connectionchain.authorization import Authorization
from connectionchain.escrow import EscrowContract
from connectionchain.events import Position
from connectionchain.evidence import Step
from connectionchain.ids import EvmAddress, Hex, Hex32, Hex64
from connectionchain.mandate import Mandate
from connectionchain.model import Model, Time
from connectionchain.money import Amount, AmountOrZero, Natural
from connectionchain.typed_data import Fields, TypedData

WORKFLOW = "Billing"


class BillState(StrEnum):
    """The life of a mandate.

    AWAITING_AUTHORIZATION -> LOCKING  the consumer has authorised the cap
                           -> EXPIRED  terminated, or its end came, before that: nothing was locked
    LOCKING -> ACTIVE     the cap is locked, finally
            -> EXPIRED    it cannot be locked
    ACTIVE  -> CLOSING    its end came, the consumer terminated it, or the cap is reached and further use refused
    CLOSING -> CLOSED     the provider has what was used, the consumer the rest
            -> RECLAIMED  no quorum before expiry: what was not settled went back to the consumer
    """

    AWAITING_AUTHORIZATION = "AwaitingAuthorization"
    LOCKING = "Locking"
    ACTIVE = "Active"
    CLOSING = "Closing"
    CLOSED = "Closed"
    RECLAIMED = "Reclaimed"
    EXPIRED = "Expired"

    @property
    def terminal(self) -> bool:
        return self in (BillState.CLOSED, BillState.RECLAIMED, BillState.EXPIRED)


class Termination(Model):
    """The consumer ends the mandate: uses before `at`, by the data chain's time, are the last to be paid."""

    at: Time
    signature: Hex = Field(default="0x", max_length=8194)

    def typed_data(self, mandate: Mandate) -> TypedData:
        return _said(mandate, "Termination", [("uint256", "at")], {"at": int(self.at.timestamp())})


class Dispute(Model):
    """The consumer disputes one use: its price is held back and returns to him at the end."""

    use: Position
    signature: Hex = Field(default="0x", max_length=8194)

    def typed_data(self, mandate: Mandate) -> TypedData:
        fields = [("uint256", "block"), ("uint256", "logIndex")]
        return _said(mandate, "Dispute", fields, {"block": self.use.block, "logIndex": self.use.log_index})


def _said(mandate: Mandate, kind: str, fields: Fields, message: dict[str, Any]) -> TypedData:
    """Bound to the mandate and to the chain of the consumer's account."""
    domain = {"name": "ConnectionChain", "version": "1", "chainId": int(mandate.chain.reference)}
    return TypedData(
        domain, kind, [("bytes32", "mandate"), *fields], {"mandate": bytes.fromhex(mandate.id[2:]), **message}
    )


def termination(mandate: Mandate, at: datetime, key: BaseAccount) -> Termination:
    unsigned = Termination(at=at)
    return Termination(at=at, signature=unsigned.typed_data(mandate).sign(key))


def dispute(mandate: Mandate, use: Position, key: BaseAccount) -> Dispute:
    unsigned = Dispute(use=use)
    return Dispute(use=use, signature=unsigned.typed_data(mandate).sign(key))


class TopUp(Model):
    """A further lock of `amount`, entry `number` of the mandate."""

    number: int = Field(ge=1, lt=16)
    amount: Amount
    authorization: Authorization


def metering_typed_data(entry: str, cumulative: int, close: bool, escrow: EscrowContract) -> TypedData:
    """What attestors sign. Source: Escrow.sol `Metering(bytes32 id,uint96 cumulative,bool close)`."""
    fields = [("bytes32", "id"), ("uint96", "cumulative"), ("bool", "close")]
    message = {"id": bytes.fromhex(entry[2:]), "cumulative": cumulative, "close": close}
    return TypedData(escrow.domain, "Metering", fields, message)


class MeterAttestation(Model):
    """One attestor's compact signature for each entry of the mandate, in order."""

    attestor: EvmAddress
    signatures: tuple[Hex64, ...]


class Reckoning(Model):
    """`payable` base units in all for the uses up to `through`, disputed ones left out. `exhausted`:
    the next use does not fit under the cap. `final`: nothing more will ever be payable."""

    payable: AmountOrZero = 0
    through: Position = Position()
    exhausted: bool = False
    final: bool = False


class Progress(Model):
    """What a mandate's workflow knows; all of it goes along when it continues as new. `entries` are the amounts locked;
    `settled` base units were paid for the uses up to `settled_through`, in `settlements` transactions; all uses cost
    `used` now, and `reckoned` when it was last asked what is payable."""

    state: BillState = BillState.AWAITING_AUTHORIZATION
    entries: tuple[Amount, ...] = ()
    used_at: Position = Position()
    uses: int = 0
    used: Natural = 0
    settled: AmountOrZero = 0
    settled_through: Position = Position()
    settlements: int = 0
    reckoned: Natural = 0
    disputes: tuple[Dispute, ...] = ()
    termination: Termination | None = None
    last: Step | None = None
    reason: str = ""


class BillingStart(Model):
    """Input of the workflow: a mandate, the consumer's authorisation of its cap if it is known, whom to ask."""

    mandate: Mandate
    authorization: Authorization | None = None
    attestors: tuple[str, ...] = Field(min_length=1)
    threshold: int = Field(ge=1)
    progress: Progress = Progress()


class Bill(Model):
    """Where a mandate stands: what was used, settled and is left, what it waits for, until when, what comes next."""

    mandate: Hex32
    state: BillState
    cap: AmountOrZero
    remaining: AmountOrZero
    near_cap: bool = False
    waiting_for: tuple[str, ...] = ()
    deadline: Time | None = None
    next_action: str = ""
    progress: Progress


class Use(Model):
    """One use, as priced. `total` is what all uses up to this one cost, paid or not; amounts in base units."""

    number: int
    at: Position
    transaction: Hex32
    time: Time
    units: Natural
    price: Natural
    total: Natural
    disputed: bool = False


class UsesWanted(Model):
    """A page of uses: at most `limit`, after use `after`."""

    mandate: Hex32
    after: int = 0
    limit: int = Field(default=1000, ge=1, le=2000)


class Uses(Model):
    uses: tuple[Use, ...]
