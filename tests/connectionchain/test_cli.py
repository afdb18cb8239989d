"""The command line: what it prints, where, and with which exit code."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from connectionchain.certificate import Outcome
from connectionchain.cli.main import main
from connectionchain.network import Network

NOBODY = "0x" + "00" * 32
Cli = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs one command: (exit code, stdout, stderr). In a thread, for it has an event loop of its own."""

    async def run(*arguments: object) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [str(each) for each in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def chains_only(bench: Any, tmp_path: Path) -> Path:
    """A network file whose engine is dead."""
    return write(tmp_path, without_engine(bench.network))


def without_engine(network: Network) -> Network:
    return network.model_copy(update={"engine": network.engine.model_copy(update={"address": "127.0.0.1:1"})})


def write(directory: Path, network: Network) -> Path:
    file = directory / "network.json"
    file.write_text(network.model_dump_json())
    return file


def key_file(directory: Path, key: Any, mode: int = 0o600) -> Path:
    file = directory / f"{key.address}.key"
    file.write_text("0x" + key.key.hex().removeprefix("0x") + "\n")
    file.chmod(mode)
    return file


# ------------------------------------------------------------------------------------------ needing only the chains


async def test_evidence_show__json(bench: Any, cli: Cli, chains_only: Path) -> None:
    deal = await bench.deal()
    locks = await bench.lock(deal)
    code, out, err = await cli("evidence", "show", deal.id, "--network", chains_only, "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["deal"] == deal.id
    assert [entry["events"][0]["transaction"] for entry in told["entries"]] == [lock.transaction for lock in locks]
    assert [entry["terms"]["amount"] for entry in told["entries"]] == ["1200", "1000"]


async def test_evidence_show__for_people(bench: Any, cli: Cli, chains_only: Path) -> None:
    deal = await bench.deal()
    locks = await bench.lock(deal)
    code, out, _ = await cli("evidence", "show", deal.id, "--network", chains_only)
    row = next(line for line in out.splitlines() if locks[0].transaction in line)
    assert code == 0
    assert row.split()[:5] == ["a", "locked", "12.00", "A", "escrow"]
    assert f"{locks[0].block.time:%Y-%m-%dT%H:%M:%SZ}" in row


async def test_evidence_show__unknown_deal(cli: Cli, chains_only: Path) -> None:
    code, out, err = await cli("evidence", "show", NOBODY, "--network", chains_only, "--json")
    assert (code, out) == (2, "")
    assert json.loads(err) == {
        "error": "UnknownName",
        "message": f"no chain of the network knows {NOBODY}",
        "field": "deal",
        "remedy": "check the id and the network file",
    }


async def test_evidence_show__one_chain_dead(bench: Any, cli: Cli, tmp_path: Path) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    dead = bench.network.chain("b").model_copy(update={"rpc": ("http://127.0.0.1:1",)})
    network = write(tmp_path, bench.network.model_copy(update={"chains": bench.network.chains | {"b": dead}}))
    code, out, err = await cli("evidence", "show", deal.id, "--network", network)
    assert code == 5
    assert "12.00 A" in out
    assert "no node of b answers" in err


async def test_reclaim__before_and_after_expiry(bench: Any, cli: Cli, chains_only: Path, tmp_path: Path) -> None:
    now = await bench.now()
    deal = await bench.deal(decide_by=now + timedelta(minutes=1), expiry=now + timedelta(minutes=2))
    await bench.lock(deal)
    reclaim = ("reclaim", deal.id, "--network", chains_only, "--key-file", key_file(tmp_path, bench.keys["taro"]))
    code, out, err = await cli(*reclaim)
    assert (code, out) == (3, "")
    assert err.startswith("expiry: the escrow is not expired yet (reclaim from ")
    for chain in ("a", "b"):
        await bench.devnet.chain(chain).advance(200)
    code, out, _ = await cli(*reclaim, "--json")
    assert (code, len(json.loads(out))) == (0, 2)
    assert await cli(*reclaim, "--json") == (0, "[]\n", "")


async def test_settle__from_a_file(bench: Any, cli: Cli, chains_only: Path, tmp_path: Path) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    decided = tmp_path / "decided.json"
    explanation = {"certificate": bench.certificate(deal, Outcome.COMMIT).model_dump(mode="json")}
    decided.write_text(json.dumps({"deal": deal.model_dump(mode="json"), "explanation": explanation}))
    settle = ("deals", "settle", decided, "--certificate", decided, "--network", chains_only, "--json")
    key = key_file(tmp_path, bench.keys["taro"])
    code, out, _ = await cli(*settle, "--key-file", key)
    assert (code, len(json.loads(out))) == (0, 2)
    assert await cli(*settle, "--key-file", key) == (0, "[]\n", "")


# ------------------------------------------------------------------------------------------------------------- keys


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


async def test_key__readable_by_others_is_warned_of(cli: Cli, chains_only: Path, tmp_path: Path) -> None:
    file = key_file(tmp_path, Account.create(), 0o644)
    _, _, err = await cli("reclaim", NOBODY, "--network", chains_only, "--key-file", file)
    assert err.startswith(f"warning: {file} can be read by others")


# ---------------------------------------------------------------------------------------------------- wrong usage


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
    bench: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONNECTIONCHAIN_NETWORK", raising=False)
    (tmp_path / ".connectionchain").mkdir()
    (tmp_path / ".connectionchain/connectionchain.json").write_text(without_engine(bench.network).model_dump_json())
    code, _, err = await cli("evidence", "show", NOBODY)
    assert code == 2
    assert "no chain of the network knows" in err


async def test_engine_dead__exit_5(cli: Cli, chains_only: Path) -> None:
    code, out, err = await cli("deals", "list", "--network", chains_only)
    assert (code, out) == (5, "")
    assert err.startswith("engine.address: no workflow engine answers at 127.0.0.1:1")
    assert len(err.splitlines()) == 1


async def test_entry_point__tells_everything_and_its_exit_code(bench: Any, chains_only: Path) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    program = [sys.executable, "-c", "from connectionchain.cli.main import run; run()"]
    for id_, code in ((deal.id, 0), (NOBODY, 2)):
        arguments = [*program, "evidence", "show", id_, "--network", str(chains_only), "--json"]
        done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, check=False)
        assert done.returncode == code
        assert json.loads(done.stdout or done.stderr)


# --------------------------------------------------------------------------------------------------------- doctor


async def test_doctor__healthy(stack: Any, cli: Cli, tmp_path: Path) -> None:
    code, out, _ = await cli("doctor", "--network", write(tmp_path, stack.network), "--json")
    checks = {each["check"]: each["ok"] for each in json.loads(out)}
    assert code == 0
    assert all(checks.values())
    assert {"network file", "a: escrow", "b: 127.0.0.1: finality", "engine", "search attributes"} <= checks.keys()


async def test_doctor__each_fault_with_a_remedy(stack: Any, cli: Cli, tmp_path: Path) -> None:
    a, b, c = (stack.network.chain(name) for name in "abc")
    chains = {
        "a": a.model_copy(update={"escrow_address": "0x" + "11" * 20}),
        "b": b.model_copy(update={"rpc": ("http://127.0.0.1:1", *b.rpc)}),
        "c": c.model_copy(update={"rpc": a.rpc}),
    }
    engine = stack.network.engine.model_copy(update={"namespace": "no-such-namespace"})
    broken = stack.network.model_copy(update={"chains": chains, "engine": engine})
    code, out, _ = await cli("doctor", "--network", write(tmp_path, broken), "--json")
    wrong = {each["check"]: each for each in json.loads(out) if not each["ok"]}
    assert code == 1
    assert {"a: escrow", "b: 127.0.0.1", "c: 127.0.0.1", "engine"} <= wrong.keys()
    assert all(each["remedy"] for each in wrong.values())


async def test_doctor__attestors_differ_from_the_chain(stack: Any, cli: Cli, tmp_path: Path) -> None:
    members = stack.network.attestors.members | {"carol": "0x" + "11" * 20}
    attestors = stack.network.attestors.model_copy(update={"members": members})
    network = stack.network.model_copy(update={"attestors": attestors})
    code, out, _ = await cli("doctor", "--network", write(tmp_path, network))
    assert code == 1
    assert [line.split()[:3] for line in out.splitlines() if "FAIL" in line] == [
        ["FAIL", f"{name}:", "escrow"] for name in "abc"
    ]


# ------------------------------------------------------------------------------------------------- the whole stack


async def test_purchase__from_quote_to_settled(stack: Any, cli: Cli, tmp_path: Path) -> None:
    network = ("--network", write(tmp_path, stack.network))
    shop, hanako = (key_file(tmp_path, stack.keys[label]) for label in ("bookstore", "hanako"))
    code, out, _ = await cli("quote", "--pay", "A", "--receive", "10 B", *network, "--json")
    assert (code, json.loads(out)["receive"]["amount"]) == (0, "1000")
    (tmp_path / "quote.json").write_text(out)

    to = ("--to", stack.keys["bookstore"].address)
    code, out, _ = await cli("pay", *to, "--quote", tmp_path / "quote.json", "--key-file", hanako, *network, "--json")
    paid = json.loads(out)
    assert code == 0
    assert paid["explanation"]["deal"] == paid["deal_id"]

    code, out, _ = await cli("deals", "show", paid["deal_id"], *network)
    assert code == 0
    assert "2 legs on a, b: " in out
    assert "waits for " in out

    code, _, err = await cli("deals", "confirm", paid["deal_id"], "--key-file", hanako, *network, "--json")
    assert (code, json.loads(err)["error"]) == (3, "NotEntitled")
    code, _, _ = await cli("deals", "confirm", paid["deal_id"], "--key-file", shop, *network)
    assert code == 0
    await stack.client.result(paid["deal_id"], 30)

    code, out, _ = await cli("deals", "show", paid["deal_id"], *network, "--json")
    (tmp_path / "decided.json").write_text(out)
    assert (code, json.loads(out)["explanation"]["state"]) == (0, "Settled")
    decided = tmp_path / "decided.json"
    code, out, _ = await cli("deals", "settle", decided, "--certificate", decided, "--key-file", hanako, *network)
    assert (code, out) == (0, "nothing left to do: no entry is locked\n")


async def test_pay__cancelled_meanwhile(stack: Any, cli: Cli, tmp_path: Path) -> None:
    network = ("--network", write(tmp_path, stack.network))
    hanako, shop = (key_file(tmp_path, stack.keys[label]) for label in ("hanako", "bookstore"))
    _, out, _ = await cli(
        "pay", "--to", stack.keys["bookstore"].address, "--pay", "A", "--receive", "1 B", "--key-file", hanako, *network
    )
    deal = out.split()[0]
    code, _, _ = await cli("deals", "cancel", deal, "--key-file", shop, *network)
    assert code == 0
    assert (await stack.client.result(deal, 30)).state == "Refunded"
    code, out, _ = await cli("deals", "list", "--state", "Refunded", "--chain", "a", *network)
    assert code == 0
    assert deal in out


@pytest.mark.parametrize("to", ["bookstore", "eip155:31338:0x12", "0xE1d7a4EB3F6672A98bfAD80981Ea2bbb81c56075"])
async def test_pay__to_no_account(stack: Any, cli: Cli, tmp_path: Path, to: str) -> None:
    network, key = write(tmp_path, stack.network), key_file(tmp_path, stack.keys["hanako"])
    paying = ("pay", "--to", to, "--pay", "12 A", "--receive", "B", "--key-file", key, "--network", network, "--json")
    code, out, err = await cli(*paying)
    assert (code, out, json.loads(err)["field"]) == (2, "", "payee")


async def test_pay__without_funds(stack: Any, cli: Cli, tmp_path: Path) -> None:
    network = ("--network", write(tmp_path, stack.network))
    poor = key_file(tmp_path, Account.create())
    to = ("--to", stack.keys["bookstore"].address)
    code, _, err = await cli("pay", *to, "--pay", "12 A", "--receive", "B", "--key-file", poor, *network)
    assert code == 4
    assert "has 0.00 A, the deal locks 12.00 A" in err


async def test_rates_list(stack: Any, cli: Cli, tmp_path: Path) -> None:
    code, out, _ = await cli("rates", "list", "--network", write(tmp_path, stack.network))
    assert code == 0
    assert "1 A -> " in out
