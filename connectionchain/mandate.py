"""A mandate: a consumer lets a provider be paid for use, up to a cap, as the events of a data chain tell of it.

Immutable and named by its content like a deal: the id is the workflow id, the `deal` of its escrow entries, and part
of everything that is signed for it. Uses are paid in order; a use counts as paid for once all before it are.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from connectionchain.deal import SETTLEMENT_MARGIN, Deal
from connectionchain.escrow import Terms
from connectionchain.events import EventFilter
from connectionchain.ids import AccountId, ChainId, Hex32, TokenId
from connectionchain.model import Model, Time
from connectionchain.money import Amount
from connectionchain.tariff import Tariff

MOST_ENTRIES = 16
"""The first lock and its top-ups."""


class AtCap(StrEnum):
    """What happens once a use does not fit under the cap. REFUSE: the mandate ends, later use is not billed.
    RECORD: use is recorded as unpaid until a top-up pays it, in order, or the mandate ends."""

    REFUSE = "refuse"
    RECORD = "record"


class Mandate(Model):
    """`consumer` pays `provider` for each event of `usage`, priced by `tariff`, settled whenever `threshold` is due or
    `period` seconds have passed. Uses before `end` count, by the data chain's time; a use is payable once the consumer
    has had `dispute_window` seconds to dispute it. `units` names the field that counts units; without it each
    use is one."""

    version: Literal[1] = 1
    token: TokenId
    consumer: AccountId
    provider: AccountId
    cap: Amount
    tariff: Tariff
    usage: EventFilter
    units: str | None = None
    threshold: Amount
    period: int = Field(ge=1, le=366 * 86400)
    at_cap: AtCap = AtCap.REFUSE
    dispute_window: int = Field(default=0, ge=0, le=30 * 86400)
    end: Time
    expiry: Time
    reference: str = Field(default="", max_length=64, pattern=r"^[-_.:a-zA-Z0-9]*$")
    salt: Hex32 = Field(default_factory=lambda: "0x" + secrets.token_hex(32))

    @property
    def id(self) -> str:
        return self.sha256()

    @property
    def chain(self) -> ChainId:
        """Where it is paid; `usage.chain` is where use is recorded."""
        return self.token.chain

    @property
    def chains(self) -> tuple[ChainId, ...]:
        return tuple(dict.fromkeys((self.chain, self.usage.chain)))

    @property
    def parties(self) -> tuple[AccountId, ...]:
        return self.consumer, self.provider

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.dispute_window)

    def entry(self, number: int, amount: int) -> Terms:
        """Escrow entry `number` (0: the cap; then each top-up) of `amount`. Each expires a second after the one
        before, so that two top-ups of one amount are two entries."""
        return Terms(
            payer=self.consumer.address,
            payee=self.provider.address,
            token=self.token.address,
            amount=amount,
            expiry=int(self.expiry.timestamp()) + number,
            deal=self.id,
        )

    def number(self, terms: Terms) -> int | None:
        """Which of its entries has these terms; None if none has."""
        number = terms.expiry - int(self.expiry.timestamp())
        if not 0 <= number < MOST_ENTRIES or terms != self.entry(number, terms.amount):
            return None
        return number if number or terms.amount == self.cap else None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for role in ("consumer", "provider"):
            account: AccountId = getattr(self, role)
            if account.chain != self.chain:
                raise ValueError(f"{role}: {account} is not on the token's chain {self.chain}")
        if self.consumer == self.provider:
            raise ValueError("consumer and provider are the same account")
        if self.units is not None and not self.usage.abi.parameter(self.units).type.startswith("uint"):
            raise ValueError(f"units: {self.units} is not an unsigned number")
        if self.expiry - self.end < self.window + SETTLEMENT_MARGIN:
            raise ValueError("expiry: must leave the dispute window and a minute more after end, to settle in")
        return self


def kind_of(given: Any) -> Literal["deal", "mandate"]:
    """Which of the two it is, itself or as JSON has it."""
    return "mandate" if isinstance(given, Mandate) or (isinstance(given, dict) and "usage" in given) else "deal"


Agreement = Annotated[Annotated[Deal, Tag("deal")] | Annotated[Mandate, Tag("mandate")], Discriminator(kind_of)]
"""What escrow entries are locked for: a deal, or a mandate, which is a deal that is capped and metered."""


def number_of(agreement: Agreement, chain: ChainId, terms: Terms) -> int | None:
    """Which leg of the deal, or lock of the mandate, an entry on `chain` with these terms is; None for a stranger's:
    anybody may lock his own money in the name of a deal."""
    if isinstance(agreement, Mandate):
        return agreement.number(terms) if agreement.chain == chain else None
    legs = enumerate(agreement.legs)
    return next((n for n, leg in legs if leg.chain == chain and Terms.of(agreement, leg) == terms), None)


def shares(total: int, entries: Sequence[int]) -> list[int]:
    """How much of `total` each of these entries pays: the first ones first."""
    paid = []
    for amount in entries:
        paid.append(min(total, amount))
        total -= paid[-1]
    return paid
