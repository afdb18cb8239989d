"""Where a mandate stands, in words: for `explain`, the engine's web UI and the command line."""

from connectionchain.billing import Bill, BillState, Progress
from connectionchain.ids import AccountId
from connectionchain.mandate import AtCap, Mandate
from connectionchain.model import rfc3339

NEAR = 10
"""The cap is near when less than one part in so many is left."""

NEXT = {
    BillState.AWAITING_AUTHORIZATION: "lock the cap once the consumer has authorised it",
    BillState.LOCKING: "follow the use once the cap is locked and final",
    BillState.ACTIVE: "settle once enough is due, or a period has passed",
    BillState.CLOSING: "pay what was used, give back the rest",
}


def bill(mandate: Mandate, now: Progress, cap: int, paused: str) -> Bill:
    left = max(0, cap - now.used)
    return Bill(
        mandate=mandate.id,
        state=now.state,
        cap=cap,
        remaining=left,
        near_cap=bool(cap) and left * NEAR < cap,
        waiting_for=_missing(mandate, now, paused),
        deadline=None if now.state.terminal else mandate.expiry if now.state is BillState.CLOSING else mandate.end,
        next_action=NEXT.get(now.state, ""),
        progress=now,
    )


def _missing(mandate: Mandate, now: Progress, paused: str) -> tuple[str, ...]:
    if paused:
        return (f"its operator to resume it: {paused}",)
    match now.state:
        case BillState.AWAITING_AUTHORIZATION:
            return (f"authorisation of the cap by {AccountId(mandate.consumer)}",)
        case BillState.LOCKING:
            return (f"the cap to be locked and final on {mandate.chain}",)
        case BillState.ACTIVE if now.used > sum(now.entries) and mandate.at_cap is AtCap.RECORD:
            return ("a top-up by the consumer: use is recorded as unpaid",)
        case BillState.ACTIVE:
            return (f"use on {mandate.usage.chain}",)
        case BillState.CLOSING:
            return (f"the last use on {mandate.usage.chain} to be final and payable",)
    return ()


def details(now: Bill) -> str:
    """The same as a few lines of Markdown, for the web UI."""
    lines = [f"**{now.state}**", f"{now.progress.uses} uses cost {now.progress.used} of {now.cap} base units"]
    lines.append(f"{now.progress.settled} settled in {now.progress.settlements} transactions")
    lines += [f"waiting for {each}" for each in now.waiting_for]
    if now.deadline:
        lines.append(f"until {rfc3339(now.deadline)}")
    if now.progress.reason:
        lines.append(f"because: {now.progress.reason}")
    return "\n\n".join(lines)
