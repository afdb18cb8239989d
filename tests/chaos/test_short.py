"""The short form of `make chaos`: a handful of deals and mandates, each main fault once, and no promise broken."""

from pathlib import Path

from rich.console import Console

from tests.chaos.deals import CANCEL, SETTLE, THREE_PARTY, TIME_OUT
from tests.chaos.faults.chains import ReorgDropping
from tests.chaos.faults.machine import DatabaseLoss
from tests.chaos.faults.programs import KillAttestor, KillChain, KillEngine, KillWorker
from tests.chaos.faults.rpc import RpcDrops
from tests.chaos.proxy import VERBS
from tests.chaos.run import Options, run

SHORT = Options(
    deals=6,
    faults=7,
    mandates=2,
    uses=4,
    seed=3,
    gap=1.0,
    alertness=6.0,
    patience=60.0,
    kinds=tuple(
        each.kind for each in (KillWorker, KillAttestor, KillEngine, KillChain, ReorgDropping, DatabaseLoss, RpcDrops)
    ),
    deal_kinds=(SETTLE, CANCEL, THREE_PARTY, TIME_OUT),
    verbs=tuple(each for each in VERBS if each != "reclaim"),  # it needs more time than this test has
)


async def test_short__no_promise_broken(tmp_path: Path) -> None:
    report = await run(tmp_path, SHORT, Console())
    assert report["violations"] == []
    assert report["faults"] == SHORT.faults
    assert report["mandates"] == SHORT.mandates
    assert report["uses_billed"] > 0
    struck = {kind: counts for kind, counts in report["faults_by_kind"].items() if counts["struck"]}
    assert set(struck) == set(SHORT.kinds)
    assert all(counts["failed"] == 0 for counts in struck.values())
    assert sum(n for outcomes in report["deals_by_kind_and_outcome"].values() for n in outcomes.values()) == SHORT.deals
