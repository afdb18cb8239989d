"""Commands that work with every server of ours dead: the engine of these network files does not answer."""

import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from connectionchain.certificate import Outcome
from connectionchain.network import Network

NOBODY = "0x" + "00" * 32
Cli = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
Written = Callable[[Network], Path]
KeyFile = Callable[..., Path]


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


async def test_evidence_show__one_chain_dead(bench: Any, cli: Cli, written: Written) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    dead = bench.network.chain("b").model_copy(update={"rpc": ("http://127.0.0.1:1",)})
    network = written(bench.network.model_copy(update={"chains": bench.network.chains | {"b": dead}}))
    code, out, err = await cli("evidence", "show", deal.id, "--network", network)
    assert code == 5
    assert "12.00 A" in out
    assert "no node of b answers" in err


async def test_reclaim__before_and_after_expiry(bench: Any, cli: Cli, chains_only: Path, key_file: KeyFile) -> None:
    now = await bench.now()
    deal = await bench.deal(decide_by=now + timedelta(minutes=1), expiry=now + timedelta(minutes=2))
    await bench.lock(deal)
    reclaim = ("reclaim", deal.id, "--network", chains_only, "--key-file", key_file(bench.keys["taro"]))
    code, out, err = await cli(*reclaim)
    assert (code, out) == (3, "")
    assert err.startswith("expiry: the escrow is not expired yet (reclaim from ")
    for chain in ("a", "b"):
        await bench.devnet.chain(chain).advance(3600)
    code, out, _ = await cli(*reclaim, "--json")
    assert (code, len(json.loads(out))) == (0, 2)
    assert await cli(*reclaim, "--json") == (0, "[]\n", "")


async def test_settle__from_a_file(bench: Any, cli: Cli, chains_only: Path, key_file: KeyFile, tmp_path: Path) -> None:
    deal = await bench.deal()
    await bench.lock(deal)
    decided = tmp_path / "decided.json"
    explanation = {"certificate": bench.certificate(deal, Outcome.COMMIT).model_dump(mode="json")}
    decided.write_text(json.dumps({"deal": deal.model_dump(mode="json"), "explanation": explanation}))
    settle = ("deals", "settle", decided, "--certificate", decided, "--network", chains_only, "--json")
    key = key_file(bench.keys["taro"])
    code, out, _ = await cli(*settle, "--key-file", key)
    assert (code, len(json.loads(out))) == (0, 2)
    assert await cli(*settle, "--key-file", key) == (0, "[]\n", "")
