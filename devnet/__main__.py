"""`python -m devnet up|down|status`: the embedded default, kept running in `.connectionchain/`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from connectionchain.errors import ConnectionChainError
from connectionchain.network import Network
from devnet.binaries import CHECKOUT
from devnet.ports import Ports
from devnet.record import NETWORK_FILE, Record, forget, locked, stop_in_order

CHAINS = 2
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console()

Directory = Annotated[Path, typer.Option(help="where state, logs and the network file are kept")]
DEFAULT_DIRECTORY = CHECKOUT / ".connectionchain"


@app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    port_base: Annotated[int | None, typer.Option(help="use the ports from here on instead of the usual ones")] = None,
    block_time: Annotated[float, typer.Option(help="seconds between blocks")] = 2,
) -> None:
    """Start what does not run yet, and print where everything is."""
    with locked(directory):
        ports = Ports.usual(CHAINS) if port_base is None else Ports.from_base(port_base, CHAINS)
        asyncio.run(_up(directory, Record(ports=ports, block_time=block_time)))


@app.command()
def down(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """End every process, and wait for it; the state is kept."""
    with locked(directory):
        record = Record.load(directory)
        running = record.running() if record else {}
        asyncio.run(stop_in_order(running))
        forget(directory)
    console.print(f"stopped {', '.join(running)}" if running else "nothing was running")


@app.command()
def status(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Say what runs and where; exit 1 if anything does not."""
    record = Record.load(directory)
    if record is None:
        console.print("not running: start it with `make up`")
        raise typer.Exit(1)
    _print_where(directory, record)
    if len(record.running()) < len(record.processes):
        raise typer.Exit(1)


async def _up(directory: Path, wanted: Record) -> None:
    from devnet.stack import Devnet  # with all of the worker: seconds on a slow machine, which only `up` has to spend

    earlier = Record.load(directory)
    running = earlier.running() if earlier else {}
    record = earlier if earlier and running else wanted
    net = Devnet(directory, record.ports, block_time=record.block_time, worker=True, lasting=True)
    net.adopt(record)
    complete = all(service.alive for service in net.services)
    try:
        with console.status("starting"):
            await net.start(report=console.print)
    finally:
        await net.close()
    console.print("already running" if complete else "running; `make down` ends it")
    _print_where(directory, net.record)


def _print_where(directory: Path, record: Record) -> None:
    """One line per process, its log where it is dead; then the network file."""
    running, where = record.running(), _addresses(directory)
    for name, process in record.processes.items():
        alive = name in running
        state = "[green]running[/green]" if alive else "[red]dead   [/red]"
        _line(name, state, where.get(name, "") if alive else f"its last words are in {process.log}")
    _line("web UI", "       ", where["web UI"])
    _line("log", "       ", where["log"])
    _line("network", "       ", str(directory / NETWORK_FILE))


def _line(name: str, state: str, where: str) -> None:
    console.print(f"{name:<9} {state}  {where}", soft_wrap=True)


def _addresses(directory: Path) -> dict[str, str]:
    network = Network.load(directory / NETWORK_FILE)
    chains = {f"chain {name}": ", ".join(chain.rpc) for name, chain in network.chains.items()}
    shown = {"temporal": network.engine.address, "web UI": str(network.engine.ui), "log": network.evidence.url}
    return chains | shown


def main() -> None:
    """Leaves without winding the interpreter down: the engine's client may crash it then."""
    try:
        app()
    except ConnectionChainError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        code: Any = error.exit_code
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main()
