"""The statement of a mandate: every use with its price, and the transaction that paid for it, as the chains tell it."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from connectionchain.billing import Bill, Use
from connectionchain.evidence import Block, Kind
from connectionchain.ids import Hex32
from connectionchain.mandate import Mandate
from connectionchain.model import Model
from connectionchain.money import AmountOrZero
from connectionchain.onchain import Entry

PAYING = (Kind.METERED, Kind.CLOSED)


class Settled(Model):
    """A transaction that paid the provider: `paid` with it, `total` in all."""

    kind: Kind
    transaction: Hex32
    block: Block
    final: bool
    paid: AmountOrZero
    total: AmountOrZero
    returned: AmountOrZero


class Status(StrEnum):
    """PAID in a settlement, OPEN until the next one, DISPUTED and held back, UNPAID for good: the mandate has ended."""

    PAID = "paid"
    OPEN = "open"
    DISPUTED = "disputed"
    UNPAID = "unpaid"


class Line(Model):
    """One use on the statement; `settled_in` is the transaction on the token chain that paid it."""

    use: Use
    status: Status
    settled_in: Hex32 | None = None


class MandateStatement(Model):
    """Everything about a mandate; `silent` if its token chain does not answer, and settlements are not known."""

    mandate_id: Hex32
    mandate: Mandate
    bill: Bill
    lines: tuple[Line, ...]
    settlements: tuple[Settled, ...]
    silent: bool = False


def settlements(entries: Iterable[Entry]) -> list[Settled]:
    """What the entries of a mandate paid, in the order of the chain."""
    events = [event for entry in entries for event in entry.events if event.kind in PAYING]
    found, total = list[Settled](), 0
    for event in sorted(events, key=lambda each: (each.block.number, each.log_index)):
        total += event.paid
        known = event.model_dump(include={"kind", "transaction", "block", "final", "paid", "returned"})
        found.append(Settled(total=total, **known))
    return found


def lines(uses: Iterable[Use], settled: Sequence[Settled], ended: bool) -> list[Line]:
    """Uses are paid in order, disputed ones passed over: one is paid by the first settlement that reaches it."""
    found, held, at = list[Line](), 0, 0
    for use in uses:
        if use.disputed:
            held += use.price
            found.append(Line(use=use, status=Status.DISPUTED))
            continue
        while at < len(settled) and settled[at].total < use.total - held:
            at += 1
        if at < len(settled):
            found.append(Line(use=use, status=Status.PAID, settled_in=settled[at].transaction))
        else:
            found.append(Line(use=use, status=Status.UNPAID if ended else Status.OPEN))
    return found
