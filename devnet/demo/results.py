"""What the demo found out, as data: the purchases, their records from the chains, and everybody's balances."""

from collections.abc import Iterator
from itertools import groupby

from connectionchain.bills import MandateStatement
from connectionchain.deal import Deal
from connectionchain.evidence import Step
from connectionchain.ids import Hex32
from connectionchain.model import Model
from connectionchain.money import AmountOrZero
from connectionchain.onchain import Record
from connectionchain.rates import Quote
from connectionchain.settlement import State

ESCROW = "escrow"


class Moment(Model):
    """Something that happened `after` seconds: a new state, a step that is final, or a word said."""

    after: float
    state: State | None = None
    step: Step | None = None
    said: str = ""


class Purchase(Model):
    """A purchase from start to end; `record` is what the chains tell of it (the paper's Figure 4)."""

    title: str
    expected: State
    state: State
    reason: str
    deal_id: Hex32
    quote: Quote
    deal: Deal
    moments: tuple[Moment, ...]
    record: Record


class Holding(Model):
    """What one account had of one currency before the purchases and after, in base units; `due` it should have."""

    account: str
    currency: str
    before: AmountOrZero
    after: AmountOrZero
    due: AmountOrZero


class Supply(Model):
    """All there is of a currency, as its token contract says, in base units."""

    currency: str
    before: AmountOrZero
    after: AmountOrZero


class Result(Model):
    """Everything, and what is wrong with it: nothing, if `problems` is empty."""

    purchases: tuple[Purchase, ...]
    holdings: tuple[Holding, ...]
    supplies: tuple[Supply, ...]
    seconds: float
    problems: tuple[str, ...] = ()
    bill: MandateStatement | None = None


def problems(purchases: tuple[Purchase, ...], holdings: list[Holding], supplies: list[Supply]) -> Iterator[str]:
    """Purchases that ended otherwise than they should, and money that is missing, too much or in the wrong hands."""
    for purchase in purchases:
        if purchase.state is not purchase.expected:
            yield f"{purchase.title}: ended {purchase.state}, not {purchase.expected} {purchase.reason}".strip()
    for each in holdings:
        if each.after != each.due:
            yield f"{each.account} has {each.after} base units of {each.currency}, not {each.due}"
    supply = {each.currency: each for each in supplies}
    for currency, held in groupby(sorted(holdings, key=lambda each: each.currency), key=lambda each: each.currency):
        owners = list(held)
        found = (sum(each.before for each in owners), sum(each.after for each in owners))
        if not found[0] == found[1] == supply[currency].before == supply[currency].after:
            yield f"{currency} is not conserved: {found[0]} base units before, {found[1]} after"
