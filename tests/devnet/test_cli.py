import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devnet.binaries import CHECKOUT
from devnet.ports import HOST, free_ports, is_free
from devnet.record import Record

ROW = 20
"""More ports than a devnet takes."""


class Cli:
    """`python -m devnet` on a directory and ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port_base = next(port for port in free_ports(50) if all(map(is_free, range(port, port + ROW))))

    def __call__(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "devnet", command, "--directory", str(self.directory), *options]
        return subprocess.run(line, cwd=CHECKOUT, capture_output=True, text=True, timeout=90, check=False)

    def up(self) -> subprocess.CompletedProcess[str]:
        return self("up", "--port-base", str(self.port_base), "--block-time", "0.5")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    command = Cli(tmp_path / "net")
    yield command
    command("down")


def recorded(cli: Cli) -> Record:
    record = Record.load(cli.directory)
    assert record
    return record


def pids(cli: Cli) -> dict[str, int]:
    return {name: process.pid for name, process in recorded(cli).processes.items()}


def test_life__up_status_crash_up_down(cli: Cli) -> None:
    assert cli("status").returncode == 1

    up = cli.up()
    assert up.returncode == 0, up.stderr
    assert f"http://{HOST}:{cli.port_base + 1}" in up.stdout  # Temporal's web UI
    assert f"http://{HOST}:{cli.port_base + 4}\n" in up.stdout  # the evidence log
    first = pids(cli)
    assert cli("status").returncode == 0

    again = cli.up()
    assert "already running" in again.stdout
    assert pids(cli) == first

    killed = psutil.Process(first["chain a"])
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    status = cli("status")
    assert status.returncode == 1
    assert str(cli.directory / "chain-a.log") in status.stdout

    assert cli.up().returncode == 0
    second = pids(cli)
    assert [name for name in first if first[name] != second[name]] == ["chain a"]

    record = recorded(cli)
    assert cli("down").returncode == 0
    assert not record.running()
    assert cli("status").returncode == 1


def test_up__says_which_port_is_taken_and_leaves_nothing_running(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, cli.port_base + 3))
        taken.listen()
        up = cli.up()
    assert up.returncode == 5
    assert f"port {cli.port_base + 3} for chain b is taken" in up.stderr
    assert "PORT_BASE" in up.stderr
    assert "temporal" in pids(cli)
    assert not recorded(cli).running()


def test_down__when_nothing_runs_says_so(cli: Cli) -> None:
    down = cli("down")
    assert down.returncode == 0
    assert "nothing was running" in down.stdout
