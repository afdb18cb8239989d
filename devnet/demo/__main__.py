"""`python -m devnet.demo [--json]`: three purchases across two chains, then data paid by use, on a devnet that is
gone afterwards.

Exit code 0 only if all of it ended as it should and every unit of money is where it should be.
"""

import argparse
import asyncio
import os
import signal
import sys
import time

from rich.console import Console

from connectionchain.errors import ConnectionChainError
from devnet.demo import billing, books, report
from devnet.demo.results import Result, problems
from devnet.demo.screen import Screen
from devnet.demo.stage import Stage, stage
from devnet.demo.story import play_all

INTERRUPTED = 130


async def run(console: Console) -> Result:
    end_in_order_on_sigterm()
    with console.status("starting") as status:
        async with stage(status.update) as built:
            status.stop()
            console.print(report.PROLOGUE, highlight=False)
            result = await purchases(console, built)
            statement, problems = await billing.play(console, built)
            console.print(report.EPILOGUE, highlight=False)
            return result.model_copy(update={"bill": statement, "problems": (*result.problems, *problems)})


async def purchases(console: Console, built: Stage) -> Result:
    started, screen = time.monotonic(), Screen(console, built)
    before = await books.balances(built)
    with screen.live():
        told = await play_all(built, screen.tell)
    holdings, supplies = books.compare(built, told, before, await books.balances(built))
    result = Result(
        purchases=told,
        holdings=tuple(holdings),
        supplies=tuple(supplies),
        seconds=round(time.monotonic() - started, 1),
        problems=tuple(problems(told, holdings, supplies)),
    )
    report.purchases(console, built, told)
    report.balances(console, built, result)
    return result


def end_in_order_on_sigterm() -> None:
    """As on Ctrl-C, which asyncio turns into a cancellation by itself."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make demo", description="Three purchases across two chains, then data paid by use."
    )
    parser.add_argument("--json", action="store_true", help="the results as JSON on stdout; progress on stderr")
    as_json = parser.parse_args().json
    console = Console(stderr=as_json)
    try:
        result = asyncio.run(run(console))
    except ConnectionChainError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return error.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        Console(stderr=True).print("interrupted: everything it started has ended")
        return INTERRUPTED
    if as_json:
        print(result.model_dump_json(indent=2))
    return 1 if result.problems else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the engine's client may crash while the interpreter winds down
