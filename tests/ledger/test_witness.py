import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain.errors import Unavailable
from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from connectionchain.ids import ChainId, TokenId
from connectionchain.model import chain_time
from connectionchain.tlog import merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.cosignature import Cosigner, WitnessKey, require_quorum, timestamps
from connectionchain.tlog.note import Note, Signature, Signer
from ledger import evidence
from ledger.cosigning import WitnessLink, cosign
from ledger.database import Database
from ledger.log import Log
from ledger.witness import SIZE, Answer, Witness, origin_hash, request

NOW = 1_700_000_000
SIGNER = Signer("log.example/evidence", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
COSIGNER = Cosigner("attestor.example/alice", Ed25519PrivateKey.from_private_bytes(b"a" * 32))
TREE = merkle.nodes([merkle.leaf_hash(b"%d" % n) for n in range(100)])
FORK = merkle.nodes([merkle.leaf_hash(b"%d" % (n if n < 5 else -n)) for n in range(100)])


def checkpoint(size: int, tree: merkle.Nodes = TREE, signer: Signer = SIGNER) -> Note:
    return signer.sign(str(Checkpoint(signer.key.name, size, merkle.root(size, tree))))


def submission(old: int, size: int, tree: merkle.Nodes = TREE) -> str:
    return request(old, merkle.consistency_proof(old, size, tree), checkpoint(size, tree))


@pytest.fixture
async def witness(database: Database) -> Witness:
    return Witness(database, COSIGNER, [SIGNER.key], clock=lambda: NOW)


def cosigned(answer: Answer, size: int, tree: merkle.Nodes = TREE) -> None:
    assert answer.status == 200, answer.body
    note = Note.parse(str(checkpoint(size, tree)) + answer.body)
    assert require_quorum(note, [COSIGNER.key], 1) == [COSIGNER.key]
    assert timestamps(note, COSIGNER.key) == [NOW]


async def test_add__first_and_following_checkpoints_are_cosigned(witness: Witness) -> None:
    cosigned(await witness.add_checkpoint(submission(0, 5)), 5)
    cosigned(await witness.add_checkpoint(submission(5, 8)), 8)
    cosigned(await witness.add_checkpoint(submission(8, 8)), 8)
    cosigned(await witness.add_checkpoint(submission(8, 100)), 100)


async def test_add__the_empty_log_is_cosigned(witness: Witness) -> None:
    cosigned(await witness.add_checkpoint(submission(0, 0)), 0)
    cosigned(await witness.add_checkpoint(submission(0, 3)), 3)


async def test_add__memory_survives_a_restart(database: Database, witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 5))
    restarted = Witness(database, COSIGNER, [SIGNER.key], clock=lambda: NOW)
    assert (await restarted.add_checkpoint(submission(0, 8))).status == 409
    cosigned(await restarted.add_checkpoint(submission(5, 8)), 8)


async def test_add__400_malformed(witness: Witness) -> None:
    good = submission(0, 5)
    for body in (
        "",
        "old 0\n",
        good.replace("old 0", "old 00"),
        good.replace("old 0", "old -1"),
        good.replace("old 0", "new 0"),
        good.replace("old 0\n", "old 0\nnot base64!\n"),
        good.replace("old 0\n", "old 0\nAAAA\n"),
        good.replace("old 0\n", "old 0\n" + "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n" * 64),
        good.replace("\n5\n", "\n05\n"),
        good[:-1],
        "x" * 100_000,
    ):
        assert (await witness.add_checkpoint(body)).status == 400, body[:100]


async def test_add__400_old_size_larger_than_the_checkpoint(witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 8))
    answer = await witness.add_checkpoint(request(8, [], checkpoint(5)))
    assert (answer.status, answer.body) == (400, "the old size 8 is larger than the checkpoint's 5\n")


async def test_add__404_unknown_log(witness: Witness) -> None:
    stranger = Signer("other.example", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
    answer = await witness.add_checkpoint(request(0, [], checkpoint(5, signer=stranger)))
    assert (answer.status, answer.body) == (404, "the log other.example is not known here\n")


async def test_add__403_signed_by_another_key_of_that_name(witness: Witness) -> None:
    forger = Signer(SIGNER.key.name, Ed25519PrivateKey.from_private_bytes(b"f" * 32))
    assert (await witness.add_checkpoint(request(0, [], checkpoint(5, signer=forger)))).status == 403


async def test_add__403_wrong_signature_of_the_known_key(witness: Witness) -> None:
    note = Note(checkpoint(5).text, (Signature(SIGNER.key.name, SIGNER.key.id, bytes(64)),))
    assert (await witness.add_checkpoint(request(0, [], note))).status == 403


async def test_add__409_says_the_size_it_saw(witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 5))
    for old in (0, 3, 6):
        answer = await witness.add_checkpoint(submission(old, 8))
        assert answer == Answer(409, "5\n", SIZE)


async def test_add__an_older_checkpoint_is_refused(witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 8))
    assert (await witness.add_checkpoint(submission(5, 7))).status == 409
    assert (await witness.add_checkpoint(submission(0, 5))).status == 409


async def test_add__422_a_rewritten_log(witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 8))
    answer = await witness.add_checkpoint(submission(8, 12, FORK))
    assert (answer.status, answer.body.partition(": leads")[0]) == (422, "consistency proof to the new root")
    cosigned(await witness.add_checkpoint(submission(8, 12)), 12)


async def test_add__422_a_split_view_is_kept_as_proof(witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 8))
    assert (await witness.add_checkpoint(submission(8, 8, FORK))).status == 422
    assert (await witness.add_checkpoint(submission(8, 8, FORK))).status == 422
    [lie] = await witness.split_views()
    seen, shown = Note.parse(lie.seen), Note.parse(lie.shown)
    assert seen.signed_by([SIGNER.key])
    assert shown.signed_by([SIGNER.key])
    assert Checkpoint.parse(seen.text).size == Checkpoint.parse(shown.text).size == 8
    assert seen.text != shown.text


async def test_add__422_proof_where_none_belongs_and_wrong_empty_root(witness: Witness) -> None:
    assert (await witness.add_checkpoint(request(0, [bytes(32)], checkpoint(5)))).status == 422
    note = SIGNER.sign(str(Checkpoint(SIGNER.key.name, 0, bytes(32))))
    assert (await witness.add_checkpoint(request(0, [], note))).status == 422
    assert await witness.split_views() == [], "nothing was cosigned before, so nothing contradicts"


async def test_add__two_forks_at_once_get_one_cosignature(witness: Witness) -> None:
    await witness.add_checkpoint(submission(0, 4))
    rivals = [submission(4, 9), submission(4, 9, FORK), submission(4, 12), submission(4, 12, FORK)]
    answers = await asyncio.gather(*(witness.add_checkpoint(each) for each in rivals))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]


async def test_add__two_first_requests_at_once(witness: Witness) -> None:
    answers = await asyncio.gather(*(witness.add_checkpoint(submission(0, size)) for size in (3, 5, 7)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409]


async def test_checkpoint__serves_what_log_and_witness_signed(witness: Witness) -> None:
    assert await witness.checkpoint(origin_hash(SIGNER.key.name)) is None
    stranger = Signer("other.example", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
    note = checkpoint(5).with_signatures(*stranger.sign(checkpoint(5).text).signatures)
    await witness.add_checkpoint(request(0, [], note))
    served = Note.parse(await witness.checkpoint(origin_hash(SIGNER.key.name)) or "")
    assert [each.name for each in served.signatures] == [SIGNER.key.name, COSIGNER.key.name]
    assert served.signed_by([SIGNER.key, COSIGNER.key]) == [SIGNER.key, COSIGNER.key]


# ------------------------------------------------------------------------------------------- the log and its witnesses


def entry(n: int) -> EvidenceRecord:
    block = Block(number=n, hash=f"0x{n:064x}", time=chain_time(n))
    chain = ChainId("eip155:1")
    step = Step(leg=0, kind=Kind.LOCKED, chain=chain, transaction=f"0x{n:064x}", block=block, log_index=0)
    token = TokenId(f"{chain}/erc20:0x{1:040x}")
    return EvidenceRecord(deal=f"0x{1:064x}", escrow_id=f"0x{n:064x}", step=step, token=token, amount=1)


async def grown(database: Database, log: Log, start: int, end: int) -> None:
    async with database.write() as session:
        await evidence.extend(session, [entry(n) for n in range(start, end)])
    await log.advance()


@pytest.fixture
async def log(tmp_path: Any) -> Any:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/log.db")
    await database.create()
    log = Log(database, SIGNER)
    await log.create()
    yield database, log
    await database.close()


async def test_cosign__keeps_the_witnessed_checkpoint(witness: Witness, log: tuple[Database, Log]) -> None:
    database, evidence_log = log
    link = WitnessLink(witness.key, witness.add_checkpoint)
    assert await cosign(evidence_log, [link], 1) is None
    for start in (0, 3, 600):
        await grown(database, evidence_log, start, start + 3 if start < 600 else 900)
        note = await cosign(evidence_log, [link], 1)
        assert note == await evidence_log.checkpoint()
        assert require_quorum(note or Note(""), [witness.key], 1)


async def test_cosign__learns_the_size_from_the_witness(witness: Witness, log: tuple[Database, Log]) -> None:
    database, evidence_log = log
    await grown(database, evidence_log, 0, 3)
    await cosign(evidence_log, [WitnessLink(witness.key, witness.add_checkpoint)], 1)
    await grown(database, evidence_log, 3, 9)
    assert await cosign(evidence_log, [WitnessLink(witness.key, witness.add_checkpoint)], 1)


async def test_cosign__short_of_a_quorum_the_last_witnessed_stays(witness: Witness, log: tuple[Database, Log]) -> None:
    async def dead(_: str) -> Answer:
        raise Unavailable("no answer")

    async def liar(_: str) -> Answer:
        return Answer(200, str(Cosigner("liar", Ed25519PrivateKey.generate()).cosign("x\n", 1)))

    database, evidence_log = log
    links = [WitnessLink(witness.key, each) for each in (witness.add_checkpoint, dead, liar)]
    await grown(database, evidence_log, 0, 3)
    assert await cosign(evidence_log, links, 2) is None
    assert await evidence_log.checkpoint() is None
    assert await cosign(evidence_log, links, 1)


async def test_cosign__waits_for_no_witness_that_hangs_while_the_others_are_enough(
    witness: Witness, log: tuple[Database, Log]
) -> None:
    async def hangs(_: str) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    database, evidence_log = log
    hung = WitnessKey("attestor.example/bob", bytes(32))
    links = [WitnessLink(witness.key, witness.add_checkpoint), WitnessLink(hung, hangs)]
    await grown(database, evidence_log, 0, 3)
    async with asyncio.timeout(5):
        assert await cosign(evidence_log, links, 1)


async def test_cosign__a_slow_witness_is_waited_for_if_it_is_needed(
    witness: Witness, log: tuple[Database, Log]
) -> None:
    async def slow(body: str) -> Answer:
        await asyncio.sleep(1)
        return await witness.add_checkpoint(body)

    database, evidence_log = log
    await grown(database, evidence_log, 0, 3)
    assert await cosign(evidence_log, [WitnessLink(witness.key, slow)], 1)


async def test_cosign__a_log_rewritten_by_its_operator_is_caught(
    witness: Witness, log: tuple[Database, Log], tmp_path: Any
) -> None:
    """The operator has the key and makes another history in another database; the witness remembers the first."""
    database, evidence_log = log
    await grown(database, evidence_log, 0, 5)
    assert await cosign(evidence_log, [WitnessLink(witness.key, witness.add_checkpoint)], 1)
    other = Database(f"sqlite+aiosqlite:///{tmp_path}/rewritten.db")
    await other.create()
    rewritten = Log(other, SIGNER)
    await rewritten.create()
    for start, end in ((100, 102), (102, 105), (105, 120)):  # shorter, as long, longer
        await grown(other, rewritten, start, end)
        assert await cosign(rewritten, [WitnessLink(witness.key, witness.add_checkpoint)], 1) is None
    assert len(await witness.split_views()) == 1
    await other.close()
