"""The command line against the whole stack: doctor, and a purchase from quote to settled."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account

from connectionchain.network import Network
from connectionchain.tlog.note import Signer

FOREIGN_LOG = str(Signer("log.example", Ed25519PrivateKey.generate()).key)
Cli = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
Written = Callable[[Network], Path]
KeyFile = Callable[..., Path]


async def test_doctor__healthy(stack: Any, cli: Cli, written: Written) -> None:
    code, out, _ = await cli("doctor", "--network", written(stack.network), "--json")
    checks = {each["check"]: each["ok"] for each in json.loads(out)}
    assert code == 0
    assert all(checks.values())
    assert {
        "network file",
        "a: escrow",
        "b: 127.0.0.1: finality",
        "engine",
        "search attributes",
        "evidence log",
    } <= checks.keys()


async def test_doctor__each_fault_with_a_remedy(stack: Any, cli: Cli, written: Written) -> None:
    a, b, c = (stack.network.chain(name) for name in "abc")
    chains = {
        "a": a.model_copy(update={"escrow_address": "0x" + "11" * 20}),
        "b": b.model_copy(update={"rpc": ("http://127.0.0.1:1", *b.rpc)}),
        "c": c.model_copy(update={"rpc": a.rpc}),
    }
    engine = stack.network.engine.model_copy(update={"namespace": "no-such-namespace"})
    log = stack.network.log.model_copy(update={"quorum": 3, "key": FOREIGN_LOG})
    broken = stack.network.model_copy(update={"chains": chains, "engine": engine, "log": log})
    code, out, _ = await cli("doctor", "--network", written(broken), "--json")
    wrong = {each["check"]: each for each in json.loads(out) if not each["ok"]}
    assert code == 1
    assert {"a: escrow", "b: 127.0.0.1", "c: 127.0.0.1", "engine", "evidence log"} <= wrong.keys()
    assert "expected 'log.example'" in wrong.pop("evidence log")["found"]
    assert all(each["remedy"] for each in wrong.values())


async def test_doctor__attestors_differ_from_the_chain(stack: Any, cli: Cli, written: Written) -> None:
    members = stack.network.attestors.members | {"carol": "0x" + "11" * 20}
    attestors = stack.network.attestors.model_copy(update={"members": members})
    network = stack.network.model_copy(update={"attestors": attestors})
    code, out, _ = await cli("doctor", "--network", written(network))
    assert code == 1
    assert [line.split()[:3] for line in out.splitlines() if "FAIL" in line] == [
        ["FAIL", f"{name}:", "escrow"] for name in "abc"
    ]


async def test_purchase__from_quote_to_settled(
    stack: Any, cli: Cli, written: Written, key_file: KeyFile, tmp_path: Path
) -> None:
    network = ("--network", written(stack.network))
    shop, hanako = (key_file(stack.keys[label]) for label in ("bookstore", "hanako"))
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


async def test_pay__cancelled_meanwhile(stack: Any, cli: Cli, written: Written, key_file: KeyFile) -> None:
    network = ("--network", written(stack.network))
    hanako, shop = (key_file(stack.keys[label]) for label in ("hanako", "bookstore"))
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
async def test_pay__to_no_account(stack: Any, cli: Cli, written: Written, key_file: KeyFile, to: str) -> None:
    network, key = written(stack.network), key_file(stack.keys["hanako"])
    paying = ("pay", "--to", to, "--pay", "12 A", "--receive", "B", "--key-file", key, "--network", network, "--json")
    code, out, err = await cli(*paying)
    assert (code, out, json.loads(err)["field"]) == (2, "", "payee")


async def test_pay__without_funds(stack: Any, cli: Cli, written: Written, key_file: KeyFile) -> None:
    network = ("--network", written(stack.network))
    poor = key_file(Account.create())
    to = ("--to", stack.keys["bookstore"].address)
    code, _, err = await cli("pay", *to, "--pay", "12 A", "--receive", "B", "--key-file", poor, *network)
    assert code == 4
    assert "has 0.00 A, the deal locks 12.00 A" in err


async def test_rates_list(stack: Any, cli: Cli, written: Written) -> None:
    code, out, _ = await cli("rates", "list", "--network", written(stack.network))
    assert code == 0
    assert "1 A -> " in out
