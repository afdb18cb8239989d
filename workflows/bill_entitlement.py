"""What may be said to a mandate, and when. Each raises the typed refusal a caller gets to see."""

from datetime import datetime, timedelta

from connectionchain.billing import BillState, Dispute, Progress, Termination, TopUp
from connectionchain.errors import AlreadyDecided, InvalidInput, Refused, TooLate
from connectionchain.mandate import MOST_ENTRIES, Mandate
from connectionchain.model import rfc3339
from connectionchain.settlement import LegAuthorization

MOST_DISPUTES = 256
BACKDATED = timedelta(minutes=1)


def may_authorize(now: Progress, given: LegAuthorization) -> None:
    if now.state is not BillState.AWAITING_AUTHORIZATION:
        raise AlreadyDecided(f"the mandate is {now.state} already", field="authorization", remedy="make a new mandate")
    if given.leg:
        raise InvalidInput("a mandate has one lock to authorise", field="leg", remedy="it has number 0")


def may_top_up(now: Progress, given: TopUp, busy: bool, over: bool) -> None:
    if now.state is not BillState.ACTIVE or over:
        raise Refused(f"the mandate is {now.state}", field="mandate", remedy="make a new mandate")
    if busy:
        raise Refused("another top-up is on its way", field="number", remedy="wait until it is locked")
    if given.number != len(now.entries) or given.number >= MOST_ENTRIES:
        raise InvalidInput(f"the next top-up is number {len(now.entries)}", field="number", remedy="sign it for that")


def may_terminate(mandate: Mandate, now: Progress, said: Termination, time: datetime) -> None:
    _open(now)
    if now.state is BillState.CLOSING:
        raise AlreadyDecided("it is being closed already", field="termination", remedy="wait for its end")
    if now.termination:
        raise AlreadyDecided(f"it ends at {rfc3339(now.termination.at)} already", field="termination")
    if said.at < time - BACKDATED:
        raise TooLate(f"{rfc3339(said.at)} has passed", field="termination.at", remedy="sign a time from now on")
    if said.at > mandate.end:
        raise InvalidInput(f"it ends at {rfc3339(mandate.end)} by itself", field="termination.at")


def may_dispute(mandate: Mandate, now: Progress, said: Dispute) -> None:
    _open(now)
    if not mandate.dispute_window:
        raise Refused("this mandate pays at once: no use can be disputed", field="dispute")
    if any(each.use == said.use for each in now.disputes):
        raise AlreadyDecided("this use is disputed already", field="dispute.use")
    if len(now.disputes) >= MOST_DISPUTES:
        raise Refused(f"{MOST_DISPUTES} uses are disputed already", field="dispute", remedy="terminate the mandate")


def _open(now: Progress) -> None:
    if now.state.terminal:
        raise TooLate(f"the mandate is {now.state}", field="mandate")
