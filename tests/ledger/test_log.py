import asyncio
import itertools
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from connectionchain.errors import InvalidInput, Unavailable
from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from connectionchain.ids import ChainId, TokenId
from connectionchain.model import chain_time
from connectionchain.tlog import merkle, tiles
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.note import Note, Signer
from connectionchain.tlog.proof import LogPolicy
from connectionchain.tlog.tiles import TilePath
from ledger import evidence
from ledger.database import Database
from ledger.log import Forked, Log
from ledger.sequencer import keep
from ledger.tiles import Tile

SIGNER = Signer("log.example/evidence", Ed25519PrivateKey.from_private_bytes(bytes(32)))
CHAIN = ChainId("eip155:31337")


def record(n: int, deal: int = 0) -> EvidenceRecord:
    return EvidenceRecord(
        deal=f"0x{deal:064x}",
        escrow_id=f"0x{n:064x}",
        step=Step(
            leg=0,
            kind=Kind.LOCKED,
            chain=CHAIN,
            transaction=f"0x{n:064x}",
            block=Block(number=n, hash=f"0x{n:064x}", time=chain_time(n)),
            log_index=0,
        ),
        token=TokenId(f"{CHAIN}/erc20:0x{1:040x}"),
        amount=n,
    )


async def write(database: Database, *records: EvidenceRecord) -> None:
    async with database.write() as session:
        for each in records:
            await evidence.append(session, each)


@pytest.fixture
async def log(database: Database) -> Log:
    log = Log(database, SIGNER)
    await log.create()
    return log


def size(note: Note | None) -> int:
    assert note
    assert note.signed_by([SIGNER.key])
    return Checkpoint.parse(note.text).size


async def entries(log: Log, count: int) -> list[bytes]:
    """The first `count` entries as a monitor reads them."""
    found: list[bytes] = []
    for index in range(-(-count // 256)):
        bundle = await log.tile(TilePath("entries", index, min(256, count - 256 * index)))
        assert bundle is not None
        found += tiles.unbundle(bundle)
    return found


async def test_append__shows_in_a_signed_checkpoint_with_its_proof(database: Database, log: Log) -> None:
    records = [record(n) for n in range(300)]
    await write(database, *records)
    note = await log.advance()
    assert size(note) == 300
    assert note is not None
    for n in (0, 1, 255, 256, 299):
        proof = await log.prove(records[n], note)
        assert proof.index == n
        assert proof.verify(records[n].canonical(), LogPolicy(SIGNER.key)).size == 300


async def test_append__twice_is_logged_once_before_and_after_integration(database: Database, log: Log) -> None:
    await write(database, record(1), record(1))
    await write(database, record(1))
    assert size(await log.advance()) == 1
    await write(database, record(1), record(2))
    assert size(await log.advance()) == 2
    async with database.read() as session:
        assert await evidence.records(session, record(1).deal) == [record(1), record(2)]


async def test_append__rolled_back_leaves_no_gap(database: Database, log: Log) -> None:
    await write(database, record(1))
    with pytest.raises(RuntimeError):
        await _fail(database, record(2))
    await write(database, record(3))
    assert size(await log.advance()) == 2
    assert await entries(log, 2) == [record(1).canonical(), record(3).canonical()]


async def _fail(database: Database, each: EvidenceRecord) -> None:
    async with database.write() as session:
        await evidence.append(session, each)
        raise RuntimeError("the caller's transaction fails")


async def test_append__a_duplicate_that_slipped_through_is_dropped(database: Database, log: Log) -> None:
    """A writer may look for an event just before the sequencer moves it."""
    await write(database, record(1))
    await log.advance()
    async with database.write() as session:
        row = evidence.PendingEntry(
            event=evidence.event(record(1)), deal=bytes(32), body=record(1).canonical().decode()
        )
        session.add(row)
    await write(database, record(2))
    assert size(await log.advance()) == 2
    assert await entries(log, 2) == [record(1).canonical(), record(2).canonical()]


async def test_records__before_integration(database: Database) -> None:
    await write(database, record(1, deal=7), record(2, deal=8))
    async with database.read() as session:
        assert await evidence.records(session, record(1, deal=7).deal) == [record(1, deal=7)]


async def test_writers__many_at_once_make_one_gapless_log(database: Database, log: Log) -> None:
    numbers = itertools.count()

    async def writer() -> None:
        for _ in range(10):
            await write(database, *(record(next(numbers)) for _ in range(3)))

    async def sequencer() -> None:
        for _ in range(20):
            await Log(database, SIGNER).advance()
            await asyncio.sleep(0.005)

    await asyncio.gather(*(writer() for _ in range(6)), sequencer(), sequencer())
    await log.advance()
    note = await log.checkpoint(witnessed=False)
    assert size(note) == 180
    found = await entries(log, 180)
    assert sorted(found) == sorted(record(n).canonical() for n in range(180))
    tree = merkle.nodes([merkle.leaf_hash(entry) for entry in found])
    assert note is not None
    assert Checkpoint.parse(note.text).root == merkle.root(180, tree)


async def test_writers__a_later_transaction_that_commits_first_comes_first(database: Database, log: Log) -> None:
    """Numbers drawn before a commit say nothing: an earlier one may appear after the log went on."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite lets one writer at a time in")
    async with database.write() as slow:
        await evidence.append(slow, record(1))
        await write(database, record(2))
        assert size(await log.advance()) == 1
    assert size(await log.advance()) == 2
    assert await entries(log, 2) == [record(2).canonical(), record(1).canonical()]


async def test_checkpoints__each_extends_the_one_before(database: Database, log: Log) -> None:
    earlier = Checkpoint.parse((await log.publish()).text)
    assert (earlier.size, earlier.root) == (0, merkle.EMPTY_ROOT)
    for start in range(0, 700, 97):
        await write(database, *(record(n) for n in range(start, start + 97)))
        note = await log.advance()
        assert note is not None
        later = Checkpoint.parse(note.text)
        proof = await log.consistency(earlier.size, later.size)
        merkle.verify_consistency(earlier.size, earlier.root, later.size, later.root, proof)
        earlier = later


async def test_publish__again_without_news_is_the_same_note(database: Database, log: Log) -> None:
    await write(database, record(1))
    note = await log.advance()
    assert await log.advance() is None
    assert await log.publish() == note


async def test_publish__within_a_second_of_the_commit(database: Database, log: Log) -> None:
    running = asyncio.create_task(keep(log, [], 0))
    try:
        await write(database, record(1))
        async with asyncio.timeout(1):
            while (await log.checkpoint(witnessed=False)) is None:  # noqa: ASYNC110 - readers poll as well
                await asyncio.sleep(0.02)
        assert size(await log.checkpoint(witnessed=False)) == 1
    finally:
        running.cancel()


@pytest.mark.parametrize("step", ["_pending", "grow", "delete"])
async def test_integrate__a_crash_at_any_step_changes_nothing(
    database: Database, log: Log, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database, *(record(n) for n in range(5)))

    def crash(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ledger.log.TileStore.grow" if step == "grow" else f"ledger.log.{step}", crash)
        with pytest.raises(KeyboardInterrupt):
            await log.integrate()
    assert size(await log.publish()) == 0
    assert size(await log.advance()) == 5
    assert await entries(log, 5) == [record(n).canonical() for n in range(5)]


async def test_integrate__a_crash_before_signing_signs_the_same_tree_later(database: Database, log: Log) -> None:
    await write(database, record(1))
    assert await log.integrate() == 1
    restarted = Log(database, SIGNER)
    assert size(await restarted.advance()) == 1


async def test_integrate__tiles_changed_in_the_database_stop_the_log(database: Database, log: Log) -> None:
    await write(database, *(record(n) for n in range(3)))
    await log.advance()
    async with database.write() as session:
        stored = await session.get(Tile, (0, 0))
        assert stored
        stored.hashes = bytes(32) + stored.hashes[32:]
        session.add(stored)
    await write(database, record(3))
    with pytest.raises(Forked, match="the tiles do not make the root of 3 records"):
        await log.advance()
    assert size(await log.checkpoint(witnessed=False)) == 3


async def test_tile__is_served_full_and_partial_but_never_beyond(database: Database, log: Log) -> None:
    await write(database, *(record(n) for n in range(300)))
    await log.advance()
    full, partial = await log.tile(TilePath(0, 0)), await log.tile(TilePath(0, 1, 44))
    assert (len(full or b""), len(partial or b"")) == (8192, 44 * 32)
    assert await log.tile(TilePath(1, 0, 1)) == merkle.fold(tiles.hashes(full or b""))
    assert await log.tile(TilePath(0, 0, 100)) == (full or b"")[:3200], "a partial tile outlives its growing up"
    for beyond in (TilePath(0, 1, 45), TilePath(0, 1), TilePath(1, 0), TilePath(2, 0, 1), TilePath("entries", 1, 45)):
        assert await log.tile(beyond) is None


async def test_prove__what_is_not_logged_yet_is_said_so(database: Database, log: Log) -> None:
    note = await log.publish()
    await write(database, record(1))
    with pytest.raises(Unavailable, match="not under the checkpoint of 0 records yet"):
        await log.prove(record(1), note)
    await log.advance()
    with pytest.raises(Unavailable, match="not under the checkpoint of 0 records yet"):
        await log.prove(record(1), note)


async def test_create__another_origin_in_the_same_database_is_refused(database: Database, log: Log) -> None:
    await log.create()
    other = Signer("log.example/other", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(InvalidInput, match=r"the database holds the log log.example/evidence"):
        await Log(database, other).create()


async def test_create__by_several_processes_at_once(database: Database) -> None:
    await asyncio.gather(*(Log(database, SIGNER).create() for _ in range(5)))
    assert size(await Log(database, SIGNER).publish()) == 0


async def test_storage__is_less_than_twice_the_records(database: Database, log: Log) -> None:
    records = [record(n, deal=n // 4) for n in range(3000)]
    async with database.write() as session:
        await evidence.extend(session, records)
    await log.advance()
    bodies = sum(len(each.canonical()) for each in records)
    assert await stored_bytes(database) < 2 * bodies


async def stored_bytes(database: Database) -> int:
    if database.engine.dialect.name == "sqlite":
        query = "SELECT (SELECT * FROM pragma_page_count()) - (SELECT * FROM pragma_freelist_count())"
    else:
        query = "SELECT pg_total_relation_size('evidence') + pg_total_relation_size('log_tile')"
    async with database.engine.connect() as connection:
        found = int((await connection.execute(text(query))).scalar_one())
    return found * 4096 if database.engine.dialect.name == "sqlite" else found
