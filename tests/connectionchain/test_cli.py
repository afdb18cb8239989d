"""The command line: keys, wrong usage, and what is said about it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

NOBODY = "0x" + "00" * 32
Cli = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
KeyFile = Callable[..., Path]


async def test_key__from_the_environment(
    bench: Any, cli: Cli, chains_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTIONCHAIN_KEY", "0x" + bench.keys["taro"].key.hex().removeprefix("0x"))
    code, _, err = await cli("reclaim", NOBODY, "--network", chains_only)
    assert code == 2
    assert err.startswith("deal: no chain of the network knows")


async def test_key__missing(cli: Cli, chains_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONNECTIONCHAIN_KEY", raising=False)
    code, _, err = await cli("reclaim", NOBODY, "--network", chains_only)
    assert (code, err) == (2, "key: a key is needed (give --key-file, or set CONNECTIONCHAIN_KEY)\n")


async def test_key__malformed_is_not_shown(cli: Cli, chains_only: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0xsecret-" + "ab" * 28)
    file.chmod(0o600)
    code, out, err = await cli("reclaim", NOBODY, "--network", chains_only, "--key-file", file)
    assert code == 2
    assert err.startswith("key: not a private key")
    assert "secret" not in out + err


async def test_key__readable_by_others_is_warned_of(cli: Cli, chains_only: Path, key_file: KeyFile) -> None:
    file = key_file(Account.create(), 0o644)
    _, _, err = await cli("reclaim", NOBODY, "--network", chains_only, "--key-file", file)
    assert err.startswith(f"warning: {file} can be read by others")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("deals", "show", "0x12"), "deal"),
        (("deals", "list", "--party", "hanako"), "party"),
        (("deals", "list", "--started-after", "yesterday"), "time"),
        (("pay", "--to", NOBODY), "pay, receive"),
        (("deals", "show", NOBODY, "--bogus"), ""),
        (("deals", "list", "--state", "Lost"), ""),
        (("evidence",), None),
    ],
)
async def test_usage__exit_2(cli: Cli, chains_only: Path, arguments: tuple[str, ...], field: str | None) -> None:
    more = ("--network", chains_only, "--json") if field is not None else ()
    code, out, err = await cli(*arguments, *more)
    assert code == 2
    if field is not None:
        assert out == ""
        assert json.loads(err)["field"] == field


async def test_network__file_missing(cli: Cli, tmp_path: Path) -> None:
    code, _, err = await cli("deals", "list", "--network", tmp_path / "none.json")
    assert code == 2
    assert err.startswith(f"{tmp_path}/none.json: there is no such file")


async def test_network__found_in_the_working_directory(
    cli: Cli, chains_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONNECTIONCHAIN_NETWORK", raising=False)
    (tmp_path / "connectionchain.json").symlink_to(chains_only)
    code, _, err = await cli("evidence", "show", NOBODY)
    assert code == 2
    assert "no chain of the network knows" in err


async def test_engine_dead__exit_5(cli: Cli, chains_only: Path) -> None:
    code, out, err = await cli("deals", "list", "--network", chains_only)
    assert (code, out) == (5, "")
    assert err.startswith("engine.address: no workflow engine answers at 127.0.0.1:1")
    assert len(err.splitlines()) == 1


async def test_entry_point__tells_everything_and_its_exit_code(bench: Any, cli: Cli, chains_only: Path) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    program = [sys.executable, "-c", "from connectionchain.cli.main import run; run()"]
    for id_, code in ((deal.id, 0), (NOBODY, 2)):
        arguments = [*program, "evidence", "show", id_, "--network", str(chains_only), "--json"]
        done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, check=False)
        assert done.returncode == code
        assert json.loads(done.stdout or done.stderr)
