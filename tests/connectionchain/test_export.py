"""A settled deal on real blocks, its evidence in a witnessed log, and every way to tamper with the file."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectionchain import anchors
from connectionchain.audit.report import Check, Report
from connectionchain.audit.trust import Trust
from connectionchain.certificate import Certificate, Outcome, settlements
from connectionchain.deal import Deal
from connectionchain.errors import Unavailable
from connectionchain.escrow import Terms, refund_call, release_call
from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from connectionchain.export import LARGEST_FILE, Anchor, Export, prove, transaction_proofs
from connectionchain.model import json_of
from connectionchain.network import EvidenceLog, LogWitness
from connectionchain.onchain import record
from connectionchain.rpc import Rpc
from connectionchain.tlog import lines
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.cosignature import Cosigner
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.note import Note, Signer
from connectionchain.transactions import Sent
from connectionchain.verify import verify, verify_with_nodes
from ledger import evidence
from ledger.cosigning import WitnessLink, cosign
from ledger.database import Database
from ledger.log import Log
from ledger.witness import Witness

LOG = Signer("log.example/evidence", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
NAMES = ("alice", "bob", "carol")
COSIGNERS = [Cosigner(f"attestor.example/{n}", Ed25519PrivateKey.from_private_bytes(n[0].encode() * 32)) for n in NAMES]
NAMED = EvidenceLog(
    url="http://127.0.0.1:1",
    key=str(LOG.key),
    witnesses={name: LogWitness(url="", key=str(each.key)) for name, each in zip(NAMES, COSIGNERS, strict=True)},
    quorum=3,
)
slow = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)


@dataclass
class Kit:
    """Deals settled or refunded for real, their exports, and what an auditor trusts."""

    bench: Any
    log: Log
    database: Database
    trust: Trust
    links: list[WitnessLink]
    settled: Export
    refunded: Export
    anchored: Export

    @property
    def file(self) -> bytes:
        return self.settled.write()


@pytest.fixture(scope="module")
async def kit(bench: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        databases = [Database(f"sqlite+aiosqlite:///{folder}/{name}.db") for name in ("log", *NAMES)]
        for database in databases:
            await database.create()
        log = Log(databases[0], LOG)
        await log.create()
        witnesses = [Witness(db, cosigner, [LOG.key]) for db, cosigner in zip(databases[1:], COSIGNERS, strict=True)]
        links = [WitnessLink(each.key, each.add_checkpoint) for each in witnesses]
        trust = Trust.of(bench.network.model_copy(update={"log": NAMED}))
        kit = Kit(bench, log, databases[0], trust, links, *[None] * 3)  # type: ignore[list-item]
        first = await settled(kit)
        await settled(kit)
        kit.refunded = await refunded(kit)
        kit.settled = await export(kit, *first)
        kit.anchored = await anchored(kit, await export(kit, *first))
        yield kit
        for database in databases:
            await database.close()


async def settled(kit: Kit) -> tuple[Deal, Certificate]:
    deal = await kit.bench.deal()
    await kit.bench.lock(deal)
    return deal, await decided(kit, deal, Outcome.COMMIT)


async def decided(kit: Kit, deal: Deal, outcome: Outcome) -> Certificate:
    certificate: Certificate = kit.bench.certificate(deal, outcome)
    for part in settlements(deal, outcome):
        terms, escrow = [Terms.of(deal, deal.legs[n]) for n in part.legs], kit.bench.network.chain(part.chain).escrow
        signatures = certificate.signatures(deal, part)
        ids = [each.id(escrow) for each in terms]
        data = release_call(terms, ids, signatures) if outcome is Outcome.COMMIT else refund_call(terms[0], signatures)
        await kit.bench.send(part.chain, data)
    await logged(kit, deal, certificate)
    return certificate


async def refunded(kit: Kit) -> Export:
    """A swap of which only the first leg was locked."""
    deal = await kit.bench.deal()
    await kit.bench._lock(deal, deal.legs[0])
    certificate = kit.bench.certificate(deal, Outcome.ABORT)
    part = settlements(deal, Outcome.ABORT)[0]
    await kit.bench.send(part.chain, refund_call(Terms.of(deal, deal.legs[0]), certificate.signatures(deal, part)))
    await logged(kit, deal, certificate)
    return await export(kit, deal, certificate)


async def logged(kit: Kit, deal: Deal, certificate: Certificate) -> None:
    """Appends what the chains tell, as the connection nodes do."""
    found = await record(kit.bench.network, deal)
    for stage in ([Kind.LOCKED], [Kind.RELEASED, Kind.REFUNDED]):
        for entry in found.entries:
            for event in [each for each in entry.events if each.kind in stage]:
                async with kit.database.write() as session:
                    await evidence.append(session, evidence_of(deal, entry, event, certificate))
    await kit.log.advance()
    assert await cosign(kit.log, kit.links, 3)


def evidence_of(deal: Deal, entry: Any, event: Any, certificate: Certificate) -> EvidenceRecord:
    leg = deal.legs[entry.leg]
    step = Step(
        leg=entry.leg,
        kind=Kind(event.kind),
        chain=entry.chain,
        transaction=event.transaction,
        block=event.block,
        log_index=event.log_index,
    )
    by = () if event.kind is Kind.LOCKED else certificate.attestors
    return EvidenceRecord(deal=deal.id, escrow_id=entry.id, step=step, token=leg.token, amount=leg.amount, attestors=by)


async def export(kit: Kit, deal: Deal, certificate: Certificate) -> Export:
    records = await kit.log.export(deal.id)
    nodes = {chain.id: Rpc(chain) for chain in kit.bench.network.chains.values()}
    proofs = await transaction_proofs([each.record for each in records], nodes)
    for node in nodes.values():
        await node.close()
    return Export(deal=deal, certificate=certificate, records=records, transactions=proofs)


async def anchored(kit: Kit, plain: Export) -> Export:
    """With the log's newest checkpoint posted on chain `a`."""
    note = await kit.log.checkpoint()
    assert note
    sent = await post(kit, anchors.content(note, LOG.key))
    chain = kit.bench.network.chain("a")
    async with Rpc(chain) as rpc:
        transaction = await prove(rpc, chain.id, sent.block.hash, sent.transaction)
    size = Checkpoint.parse(Note.parse(plain.records[0].proof.partition("\n\n")[2]).text).size
    proof = await kit.log.consistency(*sorted((size, Checkpoint.parse(note.text).size)))
    return plain.model_copy(
        update={"anchors": (Anchor(transaction=transaction, consistency=tuple(map(lines.encode, proof))),)}
    )


async def post(kit: Kit, text: str) -> Sent:
    key, anvil = kit.bench.keys["taro"], kit.bench.devnet.chain("a")
    fields = {"to": key.address, "value": 0, "gas": 90_000, "data": text.encode(), "chainId": int(anvil.id.reference)}
    fields |= {"type": 2, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
    fields["nonce"] = await anvil.quantity("eth_getTransactionCount", key.address, "pending")
    hash_ = await anvil.call("eth_sendRawTransaction", key.sign_transaction(fields).raw_transaction.to_0x_hex())
    async with asyncio.timeout(30):
        while (receipt := await anvil.call("eth_getTransactionReceipt", hash_)) is None:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)
    async with Rpc(kit.bench.network.chain("a")) as rpc:
        return Sent(chain=anvil.id, transaction=hash_, block=await rpc.block(receipt["blockHash"]))


def sealed(content: dict[str, Any]) -> bytes:
    """The file an attacker writes: changed as he likes, with the seal that fits."""
    content = {name: value for name, value in content.items() if name != "seal"}
    seal = "0x" + hashlib.sha256(rfc8785.dumps(content)).hexdigest()
    return rfc8785.dumps(content | {"seal": seal}) + b"\n"


def checks(report: Report) -> set[Check]:
    return {finding.check for finding in report.findings}


# ---------------------------------------------------------------------------------------------------------- it holds


def test_verify__a_settled_deal(kit: Kit) -> None:
    report = verify(kit.file, kit.trust)
    assert report.findings == ()
    assert report.ok
    assert (report.deal, len(kit.settled.records)) == (kit.settled.deal.id, 4)
    assert set(report.checked) == set(Check) - {Check.CHAIN}


def test_verify__a_refunded_deal_of_which_one_leg_was_never_locked(kit: Kit) -> None:
    assert verify(kit.refunded.write(), kit.trust).findings == ()


def test_verify__an_anchored_deal(kit: Kit) -> None:
    assert verify(kit.anchored.write(), kit.trust).findings == ()


def test_write__is_small_and_reads_back(kit: Kit) -> None:
    assert len(kit.anchored.write()) < 64 * 1024
    assert Export.read(kit.file) == kit.settled


async def test_verify_with_nodes__final_blocks_pass_and_others_are_named(kit: Kit) -> None:
    network = kit.bench.network
    nodes = {chain.id: Rpc(chain) for chain in network.chains.values()}
    for chain in kit.bench.devnet.chains.values():
        await chain.mine(3)
    assert (await verify_with_nodes(kit.anchored.write(), kit.trust, nodes)).findings == ()
    a, b = (network.chain(name).id for name in "ab")
    [no_node, *_] = (await verify_with_nodes(kit.file, kit.trust, {a: nodes[a]})).findings
    assert (no_node.check, no_node.what) == (Check.CHAIN, f"no node of {b} was given")
    swapped = await verify_with_nodes(kit.file, kit.trust, {a: nodes[b], b: nodes[a]})
    assert checks(swapped) == {Check.CHAIN}
    dead = Rpc(network.chain("a").model_copy(update={"rpc": ("http://127.0.0.1:9",)}))
    assert "could not be checked" in str(
        (await verify_with_nodes(kit.file, kit.trust, {a: dead, b: nodes[b]})).findings
    )
    for node in (*nodes.values(), dead):
        await node.close()


async def test_verify_with_nodes__a_block_that_is_not_final_yet(kit: Kit) -> None:
    class Young:
        async def block(self, at: str | int) -> Block:
            return next(each.record.step.block for each in kit.settled.records if each.record.step.block.number == at)

        async def final_block(self) -> Block:
            return Block(number=0, hash="0x" + "00" * 32, time=kit.settled.deal.expiry)

    deal = kit.settled.deal
    only = kit.settled.model_copy(update={"transactions": kit.settled.transactions[:1]})
    report = await verify_with_nodes(only.write(), kit.trust, {chain: Young() for chain in deal.chains})
    assert next(each.what for each in report.findings if each.check is Check.CHAIN).endswith("is not final, 0 is")


# --------------------------------------------------------------------------------------------- it was tampered with


@given(data=st.data())
@slow
def test_verify__any_bit_changed_in_the_file_is_refused(kit: Kit, data: st.DataObject) -> None:
    file = bytearray(kit.file)
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert checks(verify(bytes(file), kit.trust)) == {Check.FILE}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every string and number."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    elif value is not None:
        yield path


# By what he is caught who changes a field and mends the seal.
REASONS = {
    ("format",): Check.FILE,
    ("deal",): Check.DEAL,
    ("certificate",): Check.CERTIFICATE,
    ("records",): Check.LOG,
    ("transactions",): Check.TRANSACTION,
    ("anchors",): Check.ANCHOR,
}
# No record names an anchor's block: only a node can tell whether it is on the chain.
FOR_NODES = {("anchors", "transaction", "header"), ("anchors", "transaction", "chain")}


def names(path: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(each for each in path if isinstance(each, str))


def fields(export: Export) -> list[tuple[Any, ...]]:
    return [path for path in leaves(json_of(export)) if names(path) not in FOR_NODES]


def refused(kit: Kit, content: dict[str, Any], path: tuple[Any, ...]) -> None:
    """A field that is no longer of its form, or no longer in its one spelling, is the file's fault."""
    report = verify(sealed(content), kit.trust)
    assert checks(report) & {REASONS[names(path)[:1]], Check.FILE}, (path, report)


@given(data=st.data())
@slow
def test_verify__any_bit_of_any_field_changed_by_one_who_mends_the_seal(kit: Kit, data: st.DataObject) -> None:
    content = json_of(kit.anchored)
    *way, last = path = data.draw(st.sampled_from(fields(kit.anchored)))
    holder = content
    for key in way:
        holder = holder[key]
    holder[last] = _changed(holder[last], data)
    refused(kit, content, path)


def _changed(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1 << data.draw(st.integers(0, 31))
    if not value:
        return "x"
    at = data.draw(st.integers(0, len(value) - 1))
    return value[:at] + chr(ord(value[at]) ^ 1 << data.draw(st.integers(0, 6))) + value[at + 1 :]


def test_verify__the_end_of_every_field_changed_by_one_who_mends_the_seal(kit: Kit) -> None:
    """The same without chance: no field is missed."""
    for path in fields(kit.anchored):
        content = holder = json_of(kit.anchored)
        for key in path[:-1]:
            holder = holder[key]
        value = holder[path[-1]]
        if isinstance(value, int):
            holder[path[-1]] = value + 1
        else:
            holder[path[-1]] = value[:-1] + chr(ord(value[-1:] or "y") ^ 1)
        refused(kit, content, path)


async def test_verify_with_nodes__an_anchor_in_a_made_up_block(kit: Kit) -> None:
    [anchor] = kit.anchored.anchors
    header = bytearray.fromhex(anchor.transaction.header[2:])
    header[40] ^= 1  # in the uncles' hash
    made_up = anchor.transaction.model_copy(update={"header": "0x" + header.hex()})
    forged = kit.anchored.model_copy(update={"anchors": (anchor.model_copy(update={"transaction": made_up}),)})
    nodes = {chain.id: Rpc(chain) for chain in kit.bench.network.chains.values()}
    report = await verify_with_nodes(forged.write(), kit.trust, nodes)
    assert [each.what for each in report.findings if each.where == "anchors.0.transaction"]
    for node in nodes.values():
        await node.close()


def without(*names: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content.update(changes)
        for name in names:
            del content[name]

    return change


ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], Any], Check, str]] = {
    "record left out": (lambda c: c["records"].pop(), Check.COMPLETE, "leg 1 was locked; by the decision to commit"),
    "first record left out": (lambda c: c["records"].pop(0), Check.COMPLETE, "leg 0 was released; by the decision"),
    "all records left out": (without(records=[], transactions=[]), Check.COMPLETE, "there are none"),
    "records reordered": (lambda c: c["records"].reverse(), Check.ORDER, "was locked after another leg was released"),
    "record twice": (lambda c: c["records"].append(c["records"][-1]), Check.LOG, "comes after entry"),
    "transaction left out": (lambda c: c["transactions"].pop(), Check.TRANSACTION, "no proof of transaction"),
    "transaction twice": (
        lambda c: c["transactions"].append(c["transactions"][0]),
        Check.TRANSACTION,
        "is there twice",
    ),
    "certificate left out": (without(certificate=None), Check.CERTIFICATE, "is missing, but records.2 is released"),
    "quorum short by one": (
        lambda c: c["certificate"]["attestations"].pop(),
        Check.CERTIFICATE,
        "1 of the 2 attestors",
    ),
    "attestor twice": (
        lambda c: c["certificate"].update(attestations=c["certificate"]["attestations"][:1] * 2),
        Check.CERTIFICATE,
        "an attestor is named twice",
    ),
    "outcome turned": (lambda c: c["certificate"].update(outcome="abort"), Check.CERTIFICATE, "says commit, the cert"),
    "cosignature left out": (
        lambda c: c["records"][0].update(proof=c["records"][0]["proof"].rpartition("— ")[0]),
        Check.LOG,
        "2 of the 3 witnesses needed cosigned",
    ),
    "extra data": (
        lambda c: c["records"][0].update(proof=c["records"][0]["proof"].replace("index", "extra AAAA\nindex", 1)),
        Check.LOG,
        "has extra data",
    ),
    "proof of another record": (
        lambda c: c["records"][0].update(proof=c["records"][1]["proof"]),
        Check.LOG,
        "inclusion proof: leads to",
    ),
    "receipt proof cut": (
        lambda c: c["transactions"][0].update(receipt=[]),
        Check.TRANSACTION,
        "trie proof: ends before",
    ),
    "receipt of another transaction": (
        lambda c: c["transactions"][0].update(receipt=c["transactions"][1]["receipt"]),
        Check.TRANSACTION,
        "trie proof: has node",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_verify__attack_is_refused_with_its_reason(kit: Kit, attack: str) -> None:
    change, check, words = ATTACKS[attack]
    content = json_of(kit.settled)
    change(content)
    report = verify(sealed(content), kit.trust)
    assert [finding for finding in report.findings if finding.check is check and words in finding.what], report


async def test_verify__a_displaced_step_no_longer_counts(kit: Kit) -> None:
    """The chain replaced a final block and took the transaction up again in another: evidence keeps both facts."""
    first = kit.settled.records[0].record
    other = first.step.block.model_copy(update={"hash": "0x" + "dd" * 32})
    before = first.model_copy(update={"step": first.step.model_copy(update={"block": other})})
    displaced = before.model_copy(update={"step": before.step.model_copy(update={"kind": Kind.DISPLACED})})
    later = [each.record for each in kit.settled.records]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/log.db")
        await database.create()
        log = Log(database, LOG)
        await log.create()
        for story, fine in (([before], False), ([displaced, *later], True)):
            async with database.write() as session:
                await evidence.extend(session, story)
            note = await log.advance()
            assert note
            await log.add_cosignatures(note, [each.cosign(note.text, 1_800_000_000) for each in COSIGNERS])
            shown = kit.settled.model_copy(update={"records": await log.export(kit.settled.deal.id)})
            assert verify(shown.write(), kit.trust).ok is fine
        await database.close()


def test_verify__foreign_deals_records_are_refused(kit: Kit) -> None:
    mixed = kit.settled.model_copy(update={"deal": kit.refunded.deal})
    assert checks(verify(mixed.write(), kit.trust)) >= {Check.DEAL, Check.CERTIFICATE, Check.EVENT}


def test_verify__a_deal_changed_by_a_day_is_another_deal(kit: Kit) -> None:
    later = kit.settled.deal.model_copy(update={"expiry": kit.settled.deal.expiry + timedelta(days=1)})
    deal = Deal.model_validate_json(later.model_dump_json())
    report = verify(kit.settled.model_copy(update={"deal": deal}).write(), kit.trust)
    assert checks(report) >= {Check.DEAL, Check.CERTIFICATE}
    assert f"expected {deal.id}" in report.findings[0].what


def test_verify__wrong_origin_unknown_witness_and_stranger_attestors(kit: Kit) -> None:
    other_log = Signer("other.example", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
    stranger = Cosigner("stranger.example", Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    cases: list[tuple[dict[str, Any], Check, str]] = [
        ({"log": str(other_log.key)}, Check.LOG, "is of 'log.example/evidence', expected 'other.example'"),
        ({"witnesses": (*kit.trust.witnesses[:2], str(stranger.key))}, Check.LOG, "2 of the 3 witnesses needed"),
        ({"escrows": {}}, Check.EVENT, "has no escrow contract that you trust"),
        ({"escrows": dict.fromkeys(kit.trust.escrows, "0x" + "ee" * 20)}, Check.EVENT, "the escrow did not say locked"),
        (
            {"attestors": {"members": {"x": "0x" + "ab" * 20, "y": "0x" + "cd" * 20}, "threshold": 2}},
            Check.CERTIFICATE,
            "is not an attestor you trust",
        ),
    ]
    for change, check, words in cases:
        trust = Trust.model_validate(json_of(kit.trust) | change)
        findings = verify(kit.file, trust).findings
        assert [each for each in findings if each.check is check and words in each.what], (change, findings)


def test_verify__fewer_witnesses_are_enough_for_one_who_trusts_fewer(kit: Kit) -> None:
    trust = Trust.model_validate(json_of(kit.trust) | {"witnesses": kit.trust.witnesses[1:], "quorum": 2})
    assert verify(kit.file, trust).ok


async def test_verify__a_log_rewritten_by_its_operator_does_not_match_the_anchor(kit: Kit) -> None:
    """He has the log's key and, for the sake of argument, all the witnesses': the chain still remembers."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/rewritten.db")
        await database.create()
        rewritten = Log(database, LOG)
        await rewritten.create()
        async with database.write() as session:
            await evidence.extend(session, [each.record for each in kit.settled.records])
        note = await rewritten.advance()
        assert note
        await rewritten.add_cosignatures(note, [each.cosign(note.text, 1_800_000_000) for each in COSIGNERS])
        records = await rewritten.export(kit.settled.deal.id)
        forged = kit.settled.model_copy(update={"records": records})
        assert verify(forged.write(), kit.trust).ok, "without an anchor the forgery stands"
        report = verify(forged.model_copy(update={"anchors": kit.anchored.anchors}).write(), kit.trust)
        assert checks(report) == {Check.ANCHOR}
        await database.close()


def test_verify__an_anchor_of_another_log_or_of_no_checkpoint(kit: Kit) -> None:
    [anchor] = kit.anchored.anchors
    lock = anchor.model_copy(update={"transaction": kit.settled.transactions[0]})
    report = verify(kit.settled.model_copy(update={"anchors": (lock,)}).write(), kit.trust)
    assert checks(report) == {Check.ANCHOR}
    assert "checkpoint" in report.findings[0].what or "carries" in report.findings[0].what


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "EOF"),
        (b"{}", "Field required"),
        (b"[" * 100_000, "recursion limit|Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON|expected"),
        (b" " * (LARGEST_FILE + 1), f"more than {LARGEST_FILE}"),
    ],
)
def test_verify__no_export_at_all(kit: Kit, file: bytes, words: str) -> None:
    [finding] = verify(file, kit.trust).findings
    assert finding.check is Check.FILE
    assert any(each in finding.what for each in words.split("|")), finding


def test_verify__truncated_anywhere_is_refused(kit: Kit) -> None:
    for end in range(0, len(kit.file), 997):
        assert checks(verify(kit.file[:end], kit.trust)) == {Check.FILE}


def test_verify__other_spellings_of_the_same_content_are_refused(kit: Kit) -> None:
    pretty = json.dumps(json.loads(kit.file), indent=1).encode()
    for file in (pretty, kit.file + b"\n", kit.file[:-1], kit.file.replace(b'"seal"', b'"sea\\u006c"')):
        [finding] = verify(file, kit.trust).findings
        assert "canonical form" in finding.what


def test_verify__numbers_beyond_json_are_refused(kit: Kit) -> None:
    content = json_of(kit.settled)
    content["transactions"][0]["index"] = 2**60
    file = kit.file.replace(b'"index":0,', b'"index":1152921504606846976,', 1)
    [finding] = verify(file, kit.trust).findings
    assert finding.check is Check.FILE


def test_report__says_what_where_and_what_it_would_mean(kit: Kit) -> None:
    content = json_of(kit.settled)
    content["records"].pop()
    text = "\n".join(map(str, verify(sealed(content), kit.trust).findings))
    assert "complete failed at records: leg 1 was locked; by the decision to commit it is locked and released." in text
    assert "It would mean: the deal is not over, a record was left out, or one side was paid" in text
    assert all(check.meaning for check in Check)


async def test_export__before_the_log_has_it_is_said_so(kit: Kit) -> None:
    deal = await kit.bench.deal()
    first = kit.settled.records[0].record
    step = first.step.model_copy(update={"log_index": 99})
    async with kit.database.write() as session:
        await evidence.append(session, first.model_copy(update={"deal": deal.id, "step": step}))
    with pytest.raises(Unavailable, match="not under the checkpoint"):
        await kit.log.export(deal.id)


def test_trust__malformed_is_refused(kit: Kit) -> None:
    for change, words in (
        ({"quorum": 4}, "quorum 4 is more than the 3 witnesses"),
        ({"log": kit.trust.witnesses[0]}, "signature type 1"),
        ({"witnesses": (str(LOG.key),), "quorum": 0}, "signature type 4"),
        ({"witnesses": kit.trust.witnesses[:1] * 2, "quorum": 1}, "two witnesses have the same key"),
    ):
        with pytest.raises((ValidationError, BadProof), match=words):
            Trust.model_validate(json_of(kit.trust) | change)
