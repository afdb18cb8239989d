"""`evidence export` and `evidence verify` against the whole stack, then against dead servers and tampered files."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from connectionchain import Confirmed, State
from connectionchain.audit.report import Check
from connectionchain.audit.trust import Trust
from connectionchain.errors import Unavailable
from connectionchain.export import Export
from connectionchain.network import Network
from connectionchain.published import PublishedLog
from connectionchain.settlement import TASK_QUEUE
from connectionchain.verify import verify, verify_with_nodes
from workflows.anchoring import Anchoring

Cli = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
Written = Callable[[Network], Path]
NOWHERE = "http://127.0.0.1:1"


def dead(network: Network, *, log: bool = False) -> Network:
    """The same with nobody at the engine and the nodes, and at the log if wanted."""
    chains = {name: each.model_copy(update={"rpc": (NOWHERE,)}) for name, each in network.chains.items()}
    engine = network.engine.model_copy(update={"address": "127.0.0.1:1"})
    changed = network.log.model_copy(update={"url": NOWHERE}) if log else network.log
    return network.model_copy(update={"chains": chains, "engine": engine, "log": changed})


@pytest.fixture(scope="module")
async def settled(scene: Any) -> Any:
    """A purchase across two chains that is settled and anchored."""
    hanako, shop, taro = await scene.person("A"), await scene.person(), await scene.person("B")
    legs = scene.leg("A", hanako, taro, 1200), scene.leg("B", taro, shop, 1000)
    deal = scene.deal(*legs, condition=Confirmed(by=scene.account("B", shop)), reference="order-17")
    await scene.start(deal, hanako, taro)
    await scene.reaches(deal, State.LOCKED)
    await scene.stack.client.confirm(deal, shop)
    await settled_and_anchored(scene, deal)
    return deal


async def settled_and_anchored(scene: Any, deal: Any) -> None:
    assert (await scene.ends(deal)).state is State.SETTLED
    await scene.stack.client.evidence(deal)  # as soon as the log has it
    chains = [each.id for each in scene.stack.network.chains.values()]
    engine = scene.stack.client.engine.temporal
    await engine.execute_workflow(Anchoring.run, chains, id=f"anchoring-{deal.id}", task_queue=TASK_QUEUE)


@pytest.fixture
async def file(stack: Any, settled: Any, cli: Cli, written: Written, tmp_path: Path) -> Path:
    path = tmp_path / "deal.evidence"
    code, out, err = await cli("evidence", "export", settled.id, "-o", path, "--network", written(stack.network))
    assert (code, err) == (0, "")
    assert out == f"{path}: {path.stat().st_size} bytes\n"
    return path


def test_export__is_one_small_file_with_everything(file: Path, settled: Any) -> None:
    export = Export.read(file.read_bytes())
    assert export.deal == settled
    assert [each.record.step.kind for each in export.records] == ["locked", "locked", "released", "released"]
    assert {each.transaction.chain for each in export.anchors} == set(settled.chains)
    assert file.stat().st_size < 64 * 1024


async def test_verify__offline_with_every_server_dead(file: Path, stack: Any, cli: Cli, written: Written) -> None:
    network = written(dead(stack.network, log=True))
    code, out, _ = await cli("evidence", "verify", file, "--network", network)
    assert code == 0
    assert "FAIL" not in out
    assert set(Check) - {Check.CHAIN} == {line.split()[1] for line in out.splitlines() if line.startswith("ok ")}


async def test_verify__with_nodes_checks_blocks_and_anchor(file: Path, stack: Any, cli: Cli, written: Written) -> None:
    arguments = ("evidence", "verify", file, "--rpc", "--json", "--network")
    code, out, _ = await cli(*arguments, written(stack.network))
    assert (code, json.loads(out)["findings"]) == (0, [])
    assert "chain" in json.loads(out)["checked"]
    code, out, _ = await cli(*arguments, written(dead(stack.network)))
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert all("could not be checked" in each["what"] and each["meaning"] for each in found["findings"])


async def test_verify__a_silent_log_is_a_check_that_was_not_made(
    file: Path, scene: Any, stack: Any, cli: Cli, written: Written
) -> None:
    """The log is only needed to lead from the file's checkpoint to a later one on the chains."""
    payer = await scene.person("A")
    later = scene.deal(scene.leg("A", payer, await scene.person()))
    await scene.start(later, payer)
    await settled_and_anchored(scene, later)
    silent = stack.network.model_copy(update={"log": stack.network.log.model_copy(update={"url": NOWHERE})})
    code, out, _ = await cli("evidence", "verify", file, "--rpc", "--network", written(silent))
    assert code == 1
    assert "newest anchor on eip155:31337: could not be checked" in out


async def test_verify__a_tampered_file_says_what_where_and_what_it_means(
    file: Path, stack: Any, cli: Cli, written: Written
) -> None:
    tamper(file)
    code, out, _ = await cli("evidence", "verify", file, "--network", written(stack.network))
    assert code == 1
    assert "records.0.proof: inclusion proof: leads to" in out
    assert "it would mean: the record may be made up, or the log rewritten" in out


def tamper(file: Path) -> None:
    """Makes the first amount smaller, and mends the seal."""
    export = Export.read(file.read_bytes())
    first = export.records[0]
    cheaper = first.model_copy(update={"record": first.record.model_copy(update={"amount": 1})})
    file.write_bytes(export.model_copy(update={"records": (cheaper, *export.records[1:])}).write())


async def test_export__without_the_engine(stack: Any, settled: Any, cli: Cli, written: Written, tmp_path: Path) -> None:
    """With the deal and its certificate at hand, only the log and the chains are asked."""
    now = await stack.client.explain(settled)
    (tmp_path / "deal.json").write_text(json.dumps({"deal": settled.model_dump(mode="json")}))
    (tmp_path / "certificate.json").write_text(now.certificate.model_dump_json())
    engine = stack.network.engine.model_copy(update={"address": "127.0.0.1:1"})
    network = written(stack.network.model_copy(update={"engine": engine}))
    given = (tmp_path / "deal.json", "--certificate", tmp_path / "certificate.json", "-o", tmp_path / "out")
    code, _, err = await cli("evidence", "export", *given, "--network", network)
    assert (code, err) == (0, "")
    assert verify((tmp_path / "out").read_bytes(), Trust.of(stack.network)).ok


async def test_export__a_log_that_leaves_something_out_is_named(
    stack: Any, settled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index beside the tiles is nobody's word: the chains tell what must be there."""
    whole = PublishedLog._positions
    monkeypatch.setattr(PublishedLog, "_positions", lambda self, deal: whole(self, deal)[:-1])
    monkeypatch.setattr("connectionchain.client.evidence.PATIENCE_SECONDS", 0.5)
    with pytest.raises(Unavailable, match=r"the log does not tell of eip155:\d+ 0x"):
        await stack.client.evidence(settled)


async def test_page__tells_the_deal_to_people_without_a_script(
    stack: Any, settled: Any, cli: Cli, written: Written, tmp_path: Path
) -> None:
    out = tmp_path / "deal.html"
    code, told, _ = await cli("evidence", "page", settled.id, "-o", out, "--network", written(stack.network))
    assert (code, told) == (0, f"{out}: all checks passed\n")
    code, told, _ = await cli("evidence", "page", settled.id, "-o", out, "--network", written(stack.network), "--json")
    assert json.loads(told) == {"file": str(out), "ok": True}
    page = await asyncio.to_thread(out.read_text)
    for words in (settled.id, "12.00 A", "10.00 B", "order-17", "locked in escrow", "released to the payee", "Anchor"):
        assert words in page
    assert "default-src 'none'" in page
    assert all(each not in page for each in ("<script", "http://", "https://", "src=", "@import"))


@pytest.mark.parametrize(("deal", "code"), [("0x" + "00" * 32, 2), ("no-such-file", 2)])
async def test_export__unknown_deal(
    stack: Any, cli: Cli, written: Written, tmp_path: Path, deal: str, code: int
) -> None:
    found, _, err = await cli("evidence", "export", deal, "-o", tmp_path / "x", "--network", written(stack.network))
    assert (found, bool(err)) == (code, True)
    assert not (tmp_path / "x").exists()


async def test_export__of_a_deal_that_was_given_back_without_a_decision_is_told(scene: Any, stack: Any) -> None:
    """While it is locked nothing is decided: the file says so, and the verifier that the deal is not over."""
    payer, payee = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", payer, payee), condition=Confirmed(by=scene.account("A", payee)))
    await scene.start(deal, payer)
    await scene.reaches(deal, State.LOCKED)
    export = await stack.client.evidence(deal)
    assert export.certificate is None
    [finding] = verify(export.write(), Trust.of(stack.network)).findings
    assert finding.check is Check.COMPLETE
    assert "leg 0 was locked" in finding.what


async def test_verify__no_log_in_the_network_file(file: Path, stack: Any, cli: Cli, written: Written) -> None:
    network = written(stack.network.model_copy(update={"log": None}))
    code, _, err = await cli("evidence", "verify", file, "--network", network)
    assert code == 2
    assert "names no evidence log" in err


async def test_verify__library_call_for_auditors(file: Path, stack: Any, scene: Any) -> None:
    nodes = {scene.stack.network.chain(name).id: scene.rpc(name) for name in "abc"}
    content = await asyncio.to_thread(file.read_bytes)
    with PublishedLog(stack.network.log.url) as log:
        report = await verify_with_nodes(content, Trust.of(stack.network), nodes, log)
    for node in nodes.values():
        await node.close()
    assert report.findings == ()
