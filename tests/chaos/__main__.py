"""`python -m tests.chaos --deals 1000 --faults 200 --seed 7`: exit code 1 if any promise was broken."""

import asyncio
import gc
import json
import os
import random
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.chaos.faults import FAULTS
from tests.chaos.report import show
from tests.chaos.run import Options, postgresql, run


def main(
    deals: Annotated[int, typer.Option(min=1)] = 100,
    faults: Annotated[int, typer.Option(min=0)] = 30,
    mandates: Annotated[int | None, typer.Option(min=0, help="one for 20 deals if not given, at least two")] = None,
    seed: Annotated[int | None, typer.Option(help="the same seed draws the same deals and faults")] = None,
    gap: Annotated[float, typer.Option(help="seconds from one fault to the next")] = 4.0,
    patience: Annotated[float, typer.Option(help="seconds the deals may take to end after the last fault")] = 600.0,
    only: Annotated[str, typer.Option(help="only faults whose kind contains this")] = "",
    postgres: Annotated[bool, typer.Option(help="PostgreSQL, and two node workers that share every lane")] = False,
    keep: Annotated[Path | None, typer.Option(help="leave logs and databases in this directory")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Strike a storm of faults on deals and mandates of every kind, then ask the chains if every promise was kept."""
    console = Console(width=120)
    options = Options(
        deals=deals,
        faults=faults,
        seed=random.SystemRandom().randrange(10**6) if seed is None else seed,
        mandates=max(2, deals // 20) if mandates is None else mandates,
        gap=gap,
        patience=patience,
        kinds=tuple(each.kind for each in FAULTS if only in each.kind),
        node_processes=2 if postgres else 1,
    )
    console.print(options)
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary, postgresql() if postgres else nullcontext() as url:
        directory = (keep or Path(temporary)).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        figures = asyncio.run(run(directory, options, console, url))
    show(figures, console)
    if report:
        report.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.flush()
    gc.collect()
    os._exit(1 if figures["violations"] else 0)  # winding down, the engine's client may crash the interpreter


if __name__ == "__main__":
    typer.run(main)
