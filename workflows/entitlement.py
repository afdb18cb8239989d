"""Who may say what to a deal, and when. Each raises the typed refusal a caller gets to see."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from activities.failures import failure
from connectionchain.conditions import OPERATOR, Confirmed, parts
from connectionchain.deal import Deal
from connectionchain.errors import AlreadyDecided, ConnectionChainError, InvalidInput, NotEntitled, TooLate
from connectionchain.model import rfc3339
from connectionchain.settlement import LegAuthorization, State
from connectionchain.statements import Statement

MOST_STATEMENTS = 64


@contextmanager
def refusals() -> Iterator[None]:
    """Refusals leave a workflow as application failures that keep their type, field and remedy."""
    try:
        yield
    except ConnectionChainError as error:
        raise failure(error) from error


def may_authorize(deal: Deal, state: State, given: LegAuthorization) -> None:
    if given.leg >= len(deal.legs):
        last = len(deal.legs) - 1
        raise InvalidInput(f"the deal has no leg {given.leg}", field="leg", remedy=f"legs are numbered 0 to {last}")
    if state is not State.AWAITING_AUTHORIZATION:
        raise AlreadyDecided(f"the deal is {state} already", field="authorization", remedy="make a new deal")


def may_confirm(deal: Deal, state: State, confirmation: Statement, over: bool, given: int) -> None:
    _of_kind(confirmation, "confirmation")
    named = {part.by or OPERATOR for part in parts(deal.condition) if isinstance(part, Confirmed)}
    if (confirmation.by or OPERATOR) not in named:
        who = ", ".join(sorted(named)) or "nobody"
        raise NotEntitled(
            f"{confirmation.by or OPERATOR} cannot confirm this deal",
            field="confirmation.by",
            remedy=f"its condition names {who}",
        )
    _undecided(state, over)
    if given >= MOST_STATEMENTS:
        raise InvalidInput("too many confirmations were sent", field="confirmation", remedy="wait for the decision")


def may_cancel(deal: Deal, state: State, cancellation: Statement, decided: bool, now: datetime) -> None:
    _of_kind(cancellation, "cancellation")
    rule = deal.cancellable
    if not (cancellation.by in rule.by if cancellation.by else rule.operator):
        named = [*rule.by, *([OPERATOR] if rule.operator else [])]
        raise NotEntitled(
            f"{cancellation.by or OPERATOR} may not cancel this deal",
            field="cancellation.by",
            remedy=f"the deal names {', '.join(named) or 'nobody'}; it ends by itself at {rfc3339(deal.decide_by)}",
        )
    if rule.until and now > rule.until:
        raise TooLate(f"it could be cancelled until {rfc3339(rule.until)}", field="cancellation")
    _undecided(state, decided)


def _of_kind(statement: Statement, kind: str) -> None:
    if statement.kind != kind:
        raise InvalidInput(f"this is a {statement.kind}", field="kind", remedy=f"send a {kind}")


def _undecided(state: State, decided: bool) -> None:
    if decided or not state.undecided:
        raise AlreadyDecided("the deal is decided already", field="deal", remedy="see what became of it")
