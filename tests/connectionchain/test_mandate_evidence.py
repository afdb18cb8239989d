"""The evidence of a mandate: exported, verified and tampered with like any deal's."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from connectionchain.audit.report import Check
from connectionchain.audit.trust import Trust
from connectionchain.billing import BillState
from connectionchain.errors import UnknownName
from connectionchain.escrow import TERMS, call
from connectionchain.export import Export
from connectionchain.mandate import AtCap
from connectionchain.model import json_of
from connectionchain.network import Network
from connectionchain.verify import verify
from tests.connectionchain.test_cli_evidence import dead
from tests.connectionchain.test_export import sealed
from tests.market import Market, until
from tests.workflows.test_reconciliation import findings

Cli = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
Written = Callable[[Network], Path]


@pytest.fixture(scope="module")
async def mandate(scene: Any) -> Any:
    """One that was topped up, settled three times, and ended by its consumer; who locked more besides."""
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate(cap=1000, at_cap=AtCap.RECORD, threshold=100, reference="maps-17")
    await scene.stack.client.mandates.start(mandate, market.consumer)
    handle = scene.stack.client.engine.temporal.get_workflow_handle(mandate.id)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    for used, names in ((600, ["map"]), (750, ["table"])):
        await market.use(*names)
        await until(handle, lambda now, used=used: now.progress.settled == used)
    await scene.stack.client.mandates.top_up(mandate, 500, market.consumer)
    await market.use("map")
    await until(handle, lambda now: now.progress.settled == 1350)
    await locked_for_nothing(market, mandate)
    await scene.stack.client.mandates.terminate(mandate, market.consumer)
    result = await scene.stack.client.mandates.result(mandate, 60)
    assert (result.state, result.progress.settled) == (BillState.CLOSED, 1350)
    found = await findings(scene, mandate)
    assert [each.done for each in found] == [""] * 8  # four strangers are unrecorded, and stay so
    return mandate


async def locked_for_nothing(market: Market, mandate: Any) -> None:
    """In the mandate's name, past everybody: nobody is ever paid from these, whatever number they bear."""
    token, escrow = mandate.token.address, market.scene.stack.network.chain("a").escrow.address
    await market.scene.transact("a", market.consumer, token, call("approve(address,uint256)", escrow, 10))
    for number, amount in ((0, 2), (1, 2), (2, 1), (15, 1)):
        terms = mandate.entry(number, amount)
        await market.scene.transact("a", market.consumer, escrow, call(f"lock({TERMS})", terms.row))


@pytest.fixture
async def file(stack: Any, mandate: Any, cli: Cli, written: Written, tmp_path: Path) -> Path:
    path = tmp_path / "mandate.evidence"
    code, out, err = await cli("evidence", "export", mandate.id, "-o", path, "--network", written(stack.network))
    assert (code, err) == (0, "")
    assert out == f"{path}: {path.stat().st_size} bytes\n"
    return path


def test_export__has_each_lock_payment_and_closing(file: Path, mandate: Any) -> None:
    export = Export.read(file.read_bytes())
    assert (export.deal, export.certificate) == (mandate, None)
    steps = [(each.record.step.leg, each.record.step.kind, each.record.amount) for each in export.records]
    assert steps == [
        (0, "locked", 1000),
        (0, "metered", 600),
        (0, "metered", 750),
        (1, "locked", 500),
        (0, "metered", 1000),
        (1, "metered", 350),
        (0, "closed", 1000),
        (1, "closed", 350),
    ]


async def test_verify__offline_with_every_server_dead(file: Path, stack: Any, cli: Cli, written: Written) -> None:
    network = written(dead(stack.network, log=True))
    code, out, _ = await cli("evidence", "verify", file, "--network", network)
    assert (code, "FAIL" in out) == (0, False)
    assert set(Check) - {Check.CHAIN} == {line.split()[1] for line in out.splitlines() if line.startswith("ok ")}


async def test_verify__with_nodes(file: Path, stack: Any, cli: Cli, written: Written) -> None:
    code, out, _ = await cli("evidence", "verify", file, "--rpc", "--json", "--network", written(stack.network))
    assert (code, json.loads(out)["findings"]) == (0, [])


async def test_export__of_a_file_asks_no_engine(
    stack: Any, mandate: Any, cli: Cli, written: Written, tmp_path: Path
) -> None:
    engine = stack.network.engine.model_copy(update={"address": "127.0.0.1:1"})
    network = written(stack.network.model_copy(update={"engine": engine}))
    for content in (mandate.model_dump_json(), json.dumps({"mandate_id": mandate.id, "mandate": json_of(mandate)})):
        (tmp_path / "mandate.json").write_text(content)
        given = (tmp_path / "mandate.json", "-o", tmp_path / "out", "--network", network)
        assert (await cli("evidence", "export", *given))[0] == 0
        assert verify((tmp_path / "out").read_bytes(), Trust.of(stack.network)).ok
    code, out, _ = await cli("evidence", "show", tmp_path / "mandate.json", "--network", network)
    locks_with_a_number = 2 + 3  # the chain alone cannot tell a top-up from what was locked for nothing
    assert (code, out.count("locked"), out.count("metered"), out.count("closed")) == (0, locks_with_a_number, 4, 2)


async def test_page__tells_the_mandate_to_people(
    stack: Any, mandate: Any, cli: Cli, written: Written, tmp_path: Path
) -> None:
    out = tmp_path / "mandate.html"
    code, told, _ = await cli("evidence", "page", mandate.id, "-o", out, "--network", written(stack.network))
    assert (code, told) == (0, f"{out}: all checks passed\n")
    page = out.read_text()
    for words in (mandate.id, "DataUsed on b", "10.00 A", "maps-17", "paid for use so far", "lock 1 on a", "Payments"):
        assert words in page


async def test_mandate__is_no_deal(stack: Any, mandate: Any) -> None:
    with pytest.raises(UnknownName, match="is a mandate"):
        await stack.client.deal(mandate.id)


# --------------------------------------------------------------------------------------------- it was tampered with

Content = dict[str, Any]


def record(change: Callable[[Content], Any], n: int = 1) -> Callable[[Content], Any]:
    return lambda content: change(content["records"][n]["record"])


ATTACKS: dict[str, tuple[Callable[[Content], Any], Check, str]] = {
    "paid less": (record(lambda r: r.update(amount="599")), Check.DEAL, "amount: is 599, expected 600"),
    "paid less in all": (
        record(lambda r: (r.update(amount="599"), r["step"].update(paid="599"))),
        Check.EVENT,
        "the escrow did not say metered of",
    ),
    "record made up": (record(lambda r: r["step"].update(paid="599")), Check.LOG, "inclusion proof: leads to"),
    "higher cap": (lambda c: c["deal"].update(cap="1001"), Check.DEAL, "deal: is 0x"),
    "other tariff": (lambda c: c["deal"]["tariff"].update(per_event="1"), Check.DEAL, "deal: is 0x"),
    "top-up bigger": (record(lambda r: r.update(amount="501"), 3), Check.DEAL, "escrow_id: is 0x"),
    "another lock": (record(lambda r: r["step"].update(leg=7)), Check.DEAL, "is 7, which no record says was locked"),
    "no such lock": (record(lambda r: r["step"].update(leg=10**9)), Check.DEAL, "which no record says was locked"),
    "other attestors": (
        record(lambda r: r.update(attestors=["0x" + "ab" * 20])),
        Check.CERTIFICATE,
        "who did not all sign",
    ),
    "closing left out": (lambda c: c["records"].pop(), Check.COMPLETE, "lock 1 was locked and metered; it is to be"),
    "lock left out": (lambda c: c["records"].pop(0), Check.COMPLETE, "lock 0 was metered and closed"),
    "all left out": (lambda c: c.update(records=[], transactions=[]), Check.COMPLETE, "there are none"),
    "reordered": (lambda c: c["records"].reverse(), Check.ORDER, "before its earlier record"),
    "transaction left out": (lambda c: c["transactions"].pop(1), Check.TRANSACTION, "no proof of transaction"),
    "transactions swapped": (
        lambda c: c["transactions"][1].update(transaction=c["transactions"][2]["transaction"]),
        Check.TRANSACTION,
        "trie proof",
    ),
    "a deal's certificate": (
        lambda c: c.update(certificate={"deal": "0x" + "00" * 32, "outcome": "commit", "attestations": []}),
        Check.CERTIFICATE,
        "is a deal's, this is a mandate",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_verify__attack_is_refused_with_its_reason(file: Path, stack: Any, attack: str) -> None:
    change, check, words = ATTACKS[attack]
    content = json_of(Export.read(file.read_bytes()))
    change(content)
    findings = verify(sealed(content), Trust.of(stack.network)).findings
    assert [each for each in findings if each.check is check and words in each.what], findings


def test_verify__payments_nobody_trusted_signed(file: Path, stack: Any) -> None:
    strangers = {"members": {"x": "0x" + "ab" * 20, "y": "0x" + "cd" * 20}, "threshold": 2}
    trust = Trust.model_validate(json_of(Trust.of(stack.network)) | {"attestors": strangers})
    findings = verify(file.read_bytes(), trust).findings
    assert {each.check for each in findings} == {Check.CERTIFICATE}
    assert "0 of the 2 attestors needed signed 600 in all" in findings[0].what


def test_verify__a_bit_changed_is_refused(file: Path, stack: Any) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    assert {each.check for each in verify(bytes(content), Trust.of(stack.network)).findings} == {Check.FILE}


async def test_export__while_it_runs_says_that_it_is_not_over(scene: Any, stack: Any) -> None:
    market = await Market.open(scene, map=600)
    mandate = await market.mandate()
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    [finding] = verify((await stack.client.evidence(mandate)).write(), Trust.of(stack.network)).findings
    assert (finding.check, "lock 0 was locked; it is to be" in finding.what) == (Check.COMPLETE, True)
