"""A storm in a table for people and as JSON for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS
from tests.chaos.invariants import Violation
from tests.chaos.storm import Aftermath


def figures(
    seed: int, after: Aftermath, found: Sequence[Violation], resumes: Mapping[str, Sequence[float]], ledger: str
) -> dict[str, Any]:
    """Everything measured. `resume_s` counts from a fault's end to the next completed step of a deal it affected."""
    outcomes = {each.deal.id: end if isinstance(end, str) else str(end.state) for each, end in _ends(after)}
    return {
        "seed": seed,
        "ledger": ledger.partition(":")[0].partition("+")[0],
        "deals": len(after.played),
        "deals_by_kind_and_outcome": _nested(
            (each.script.kind, _short(outcomes[each.deal.id])) for each in after.played
        ),
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


def _ends(after: Aftermath) -> Any:
    return [(each, after.ends[each.deal.id]) for each in after.played]


def _short(outcome: str) -> str:
    return outcome.partition(",")[0].partition(":")[0]


def _nested(pairs: Any) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (first, second), number in sorted(Counter(pairs).items()):
        nested.setdefault(first, {})[second] = number
    return nested


def _quantile(ascending: Sequence[float], part: float) -> float | None:
    return round(ascending[min(len(ascending) - 1, int(part * len(ascending)))], 1) if ascending else None
