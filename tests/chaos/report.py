"""A storm in a table for people and as JSON for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from connectionchain import Explanation
from connectionchain.billing import Bill
from tests.chaos.bills import Account
from tests.chaos.faults import FAULTS
from tests.chaos.storm import Aftermath
from tests.chaos.violation import Violation


def figures(
    seed: int,
    after: Aftermath,
    accounts: Sequence[Account],
    found: Sequence[Violation],
    resumes: Mapping[str, Sequence[float]],
    ledger: str,
) -> dict[str, Any]:
    """Everything measured. `resume_s` counts from a fault's end to the next completed step of a deal it affected."""
    outcomes = {id_: _state(end) for id_, end in after.ends.items()}
    return {
        "seed": seed,
        "ledger": ledger.partition(":")[0].partition("+")[0],
        "deals": len(after.played),
        "deals_by_kind_and_outcome": _nested(
            (each.script.kind, _short(outcomes[each.deal.id])) for each in after.played
        ),
        "mandates": len(after.metered),
        "mandates_by_kind_and_outcome": _nested(
            (each.script.kind, _short(_state(after.bills[each.mandate.id]))) for each in after.metered
        ),
        "uses": sum(len(each.uses) for each in accounts),
        "uses_billed": sum(each.payable for each in accounts),
        "settlements": sum(len(entry.events) - 1 for each in accounts for entry in each.entries),
        "faults": len(after.struck),
        "faults_by_kind": {
            each.kind: _of_kind(after, each.kind) | {"resume_s": _resume(resumes.get(each.kind, []))} for each in FAULTS
        },
        "faults_by_moment": _nested((s.strike.moment.verb, s.strike.moment.point) for s in after.struck),
        "violations": [vars(each) for each in found],
        "resume_s": _resume(sorted(seconds for each in resumes.values() for seconds in each)),
        "wall_s": round(after.seconds, 1),
    }


def show(report: dict[str, Any], console: Console) -> None:
    faults = Table(
        "fault",
        "struck",
        "at its moment",
        "failed",
        "resume p50 s",
        "p99 s",
        title=f"{report['faults']} faults, seed {report['seed']}",
    )
    for kind, counts in report["faults_by_kind"].items():
        shown = [counts[name] for name in ("struck", "prompted", "failed")]
        shown += [counts["resume_s"][part] or "" for part in ("p50", "p99")]
        faults.add_row(kind, *map(str, shown))
    console.print(faults)
    moments = Table("transition", "moment", "faults")
    for verb, points in report["faults_by_moment"].items():
        for point, number in points.items():
            moments.add_row(verb, point, str(number))
    console.print(moments)
    deals = Table("deal", "outcome", "number", title=f"{report['deals']} deals")
    for kind, outcomes in report["deals_by_kind_and_outcome"].items():
        for outcome, number in outcomes.items():
            deals.add_row(kind, outcome, str(number))
    console.print(deals)
    mandates = Table("mandate", "outcome", "number", title=f"{report['mandates']} mandates")
    for kind, outcomes in report["mandates_by_kind_and_outcome"].items():
        for outcome, number in outcomes.items():
            mandates.add_row(kind, outcome, str(number))
    console.print(mandates)
    console.print(f"{report['uses']} uses, {report['uses_billed']} billed, in {report['settlements']} settlements")
    resume = report["resume_s"]
    console.print(f"time to resume: p50 {resume['p50']} s, p99 {resume['p99']} s ({resume['count']} affected deals)")
    console.print(f"wall time: {report['wall_s']} s; ledger: {report['ledger']}")
    console.print(f"violations = {len(report['violations'])}")


def _of_kind(after: Aftermath, kind: str) -> dict[str, int]:
    own = [each for each in after.struck if each.strike.kind == kind]
    return {
        "struck": len(own),
        "prompted": sum(each.prompted for each in own),
        "failed": sum(bool(each.failure) for each in own),
    }


def _resume(ascending: Sequence[float]) -> dict[str, float | int | None]:
    return {"count": len(ascending), "p50": _quantile(ascending, 0.5), "p99": _quantile(ascending, 0.99)}


def _state(end: Explanation | Bill | str) -> str:
    return end if isinstance(end, str) else str(end.state)


def _short(outcome: str) -> str:
    return outcome.partition(",")[0].partition(":")[0]


def _nested(pairs: Any) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (first, second), number in sorted(Counter(pairs).items()):
        nested.setdefault(first, {})[second] = number
    return nested


def _quantile(ascending: Sequence[float], part: float) -> float | None:
    return round(ascending[min(len(ascending) - 1, int(part * len(ascending)))], 1) if ascending else None
