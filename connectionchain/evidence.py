"""Evidence records: what happened, on which chain, in which transaction and block, by chain time."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from connectionchain.ids import ChainId, EvmAddress, Hex32, TokenId
from connectionchain.model import Model, Time
from connectionchain.money import AmountOrZero


class Kind(StrEnum):
    """What a ledger operation did to an escrow entry. DISPLACED: the block of that step, final once, was replaced."""

    LOCKED = "locked"
    RELEASED = "released"
    REFUNDED = "refunded"
    METERED = "metered"
    CLOSED = "closed"
    RECLAIMED = "reclaimed"
    CANCELLED = "cancelled"
    DISPLACED = "displaced"


class Block(Model):
    """A block of some chain; `time` is the chain's own."""

    number: int = Field(ge=0)
    hash: Hex32
    time: Time


class Step(Model):
    """One final event of one leg's escrow entry, as its chain tells it. `paid` is what the payee has had of the entry
    in all after a metered or closed one."""

    leg: int = Field(ge=0)
    kind: Kind
    chain: ChainId
    transaction: Hex32
    block: Block
    log_index: int = Field(ge=0)
    paid: AmountOrZero | None = None


class EvidenceRecord(Model):
    """One leaf of the evidence log: ids and amounts, no names. `attestors` are those whose certificate moved it."""

    version: Literal[1] = 1
    deal: Hex32
    escrow_id: Hex32
    step: Step
    token: TokenId
    amount: AmountOrZero
    attestors: tuple[EvmAddress, ...] = ()
