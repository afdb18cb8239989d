"""Where a deal stands, in words: for `explain`, the engine's web UI and the command line."""

from collections.abc import Collection

from connectionchain.deal import Deal
from connectionchain.evidence import Kind, Step
from connectionchain.model import rfc3339
from connectionchain.settlement import Explanation, State

NEXT = {
    State.AWAITING_AUTHORIZATION: "lock every leg once all payers have authorised theirs",
    State.LOCKING: "wait for the condition once every leg is locked and final",
    State.LOCKED: "ask the attestors to commit once the condition holds; refund at the deadline",
    State.COMMITTING: "release every leg to its payee",
    State.ABORTING: "give every locked leg back to its payer",
}


def unauthorized(deal: Deal, authorized: Collection[int]) -> tuple[str, ...]:
    missing = (n for n in range(len(deal.legs)) if n not in authorized)
    return tuple(f"authorisation of leg {n} by {deal.legs[n].payer}" for n in missing)


def unmoved(deal: Deal, steps: list[Step], verb: str) -> tuple[str, ...]:
    """The legs that are not `locked` yet, or are locked and not yet `released` or `given back`."""
    locked = {step.leg for step in steps if step.kind is Kind.LOCKED}
    moved = {step.leg for step in steps if step.kind is not Kind.LOCKED}
    missing = set(range(len(deal.legs))) - locked if verb == "locked" else locked - moved
    return tuple(f"leg {n} to be {verb} and final on {deal.legs[n].chain}" for n in sorted(missing))


def details(explanation: Explanation) -> str:
    """The same as a few lines of Markdown, for the web UI."""
    lines = [f"**{explanation.state}**"]
    lines += [f"waiting for {each}" for each in explanation.waiting_for]
    if explanation.deadline:
        lines.append(f"until {rfc3339(explanation.deadline)}")
    if explanation.next_action:
        lines.append(f"next: {explanation.next_action}")
    if explanation.reason:
        lines.append(f"because: {explanation.reason}")
    lines += [
        f"- leg {s.leg} {s.kind} on {s.chain} in `{s.transaction}`, {rfc3339(s.block.time)}" for s in explanation.steps
    ]
    return "\n\n".join(lines)
