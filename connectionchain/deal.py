"""A deal: the terms of one extended smart contract, immutable and named by the hash of its content."""

import secrets
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from connectionchain.conditions import Condition, Confirmed, parts
from connectionchain.errors import InvalidInput
from connectionchain.ids import AccountId, ChainId, Hex32, TokenId
from connectionchain.model import Model, Time, rfc3339
from connectionchain.money import Amount

SETTLEMENT_MARGIN = timedelta(minutes=1)
"""The least time between decide_by and expiry: settling must be final on every chain before payers reclaim."""

LONGEST = timedelta(days=365)

MOST_PARTS = 64
"""Of a condition: each may cost a timer, and every attestor looks at all of them."""


class Leg(Model):
    """One escrowed transfer: `payer` pays `amount` base units of `token` to `payee`, all on the token's chain."""

    token: TokenId
    payer: AccountId
    payee: AccountId
    amount: Amount

    @property
    def chain(self) -> ChainId:
        return self.token.chain

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.payer == self.payee:
            raise ValueError("payer and payee are the same account")
        for role in ("payer", "payee"):
            account: AccountId = getattr(self, role)
            if account.chain != self.chain:
                raise ValueError(f"{role} {account} is not on the token's chain {self.chain}")
        return self


class Cancellable(Model):
    """Who may cancel a deal before its decision: the accounts in `by` (signed), its operator too if so
    stated (a plain signal), until `until` or, without it, until the decision."""

    by: tuple[AccountId, ...] = ()
    operator: bool = False
    until: Time | None = None

    @field_validator("by")
    @classmethod
    def _sorted(cls, by: tuple[AccountId, ...]) -> tuple[AccountId, ...]:
        return tuple(sorted(set(by)))


class Deal(Model):
    """Legs + condition + deadlines + salt. `id` is `sha256(JCS(deal))` and names the deal everywhere:
    as workflow id, as the `deal` field of its escrow entries, in every signature and evidence record."""

    version: Literal[1] = 1
    legs: tuple[Leg, ...] = Field(min_length=1, max_length=16)
    condition: Condition | None = None
    cancellable: Cancellable = Cancellable()
    decide_by: Time
    expiry: Time
    reference: str = Field(default="", max_length=64, pattern=r"^[-_.:a-zA-Z0-9]*$")
    salt: Hex32 = Field(default_factory=lambda: "0x" + secrets.token_hex(32))

    @property
    def id(self) -> str:
        """Not cached: a copy with other terms would keep it."""
        return self.sha256()

    @property
    def chains(self) -> tuple[ChainId, ...]:
        return tuple(dict.fromkeys(leg.chain for leg in self.legs))

    @property
    def parties(self) -> tuple[AccountId, ...]:
        named = [account for leg in self.legs for account in (leg.payer, leg.payee)]
        named += [part.by for part in parts(self.condition) if isinstance(part, Confirmed) and part.by]
        return tuple(dict.fromkeys(named))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.legs)) != len(self.legs):
            raise ValueError("legs: two legs are identical; add their amounts into one")
        if len(tuple(parts(self.condition))) > MOST_PARTS:
            raise ValueError(f"condition: has more than {MOST_PARTS} parts")
        if self.expiry - self.decide_by < SETTLEMENT_MARGIN:
            seconds = int(SETTLEMENT_MARGIN.total_seconds())
            raise ValueError(f"expiry: must be at least {seconds} s after decide_by, to settle in between")
        return self

    def check_open(self, now: datetime) -> None:
        """Raises InvalidInput unless the deal can still be decided, and expires within a year."""
        if now >= self.decide_by:
            raise InvalidInput(f"{rfc3339(self.decide_by)} has passed", field="decide_by", remedy="choose a later time")
        if self.expiry - now > LONGEST:
            raise InvalidInput(
                f"{rfc3339(self.expiry)} is more than {LONGEST.days} days ahead",
                field="expiry",
                remedy="choose an earlier time: until then the payers' assets stay locked",
            )
