"""`make demo` as a program: what it tells, that money is conserved, and that nothing of it stays behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 150


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "devnet.demo", "--json"],
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # also if the tests run in the background
    )
    yield process
    process.kill()
    process.communicate()


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_demo__three_purchases(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    out, err = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, err
    result = json.loads(out)
    assert [each["state"] for each in result["purchases"]] == ["Settled", "Refunded", "Refunded"]
    assert result["problems"] == []
    assert [line["status"] for line in result["bill"]["lines"]] == ["paid"] * 4
    assert (result["bill"]["bill"]["state"], result["bill"]["bill"]["progress"]["settled"]) == ("Closed", "283")
    assert list(tmp_path.iterdir()) == []

    # the record of Figure 4: each leg locked, then released or refunded, each with transaction and chain time
    for purchase, end in zip(result["purchases"], ("released", "refunded", "refunded"), strict=True):
        entries = purchase["record"]["entries"]
        assert sorted(entry["leg"] for entry in entries) == [0, 1]
        assert len({entry["chain"] for entry in entries}) == 2
        for entry in entries:
            assert [event["kind"] for event in entry["events"]] == ["locked", end]
            assert all(re.fullmatch("0x[0-9a-f]{64}", event["transaction"]) for event in entry["events"])
            assert all(event["block"]["time"].endswith("Z") and event["final"] for event in entry["events"])

    # conservation, from the raw numbers: only the first purchase moved money, at exactly its price
    paid, received = (int(result["purchases"][0]["quote"][side]["amount"]) for side in ("pay", "receive"))
    change = {
        (each["account"], each["currency"]): int(each["after"]) - int(each["before"]) for each in result["holdings"]
    }
    assert {account: moved for account, moved in change.items() if moved} == {
        ("hanako", "A"): -paid,
        ("liquidity", "A"): paid,
        ("liquidity", "B"): -received,
        ("bookstore", "B"): received,
    }
    assert received == 1000
    assert change["escrow", "A"] == change["escrow", "B"] == 0
    assert all(each["before"] == each["after"] for each in result["supplies"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo__interrupted_leaves_nothing_behind(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(started := descendants(demo)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(started) >= 3
    demo.send_signal(number)
    _, err = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert err.rstrip().endswith("interrupted: everything it started has ended")
    assert [each for each in started if each.is_running()] == []
    assert list(tmp_path.iterdir()) == []
