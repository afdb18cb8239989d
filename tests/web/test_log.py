"""The log's HTTP face, held to c2sp.org/tlog-tiles."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from connectionchain.ids import ChainId, TokenId
from connectionchain.model import chain_time
from connectionchain.tlog import merkle, tiles
from connectionchain.tlog.checkpoint import open_checkpoint
from connectionchain.tlog.note import Note, Signer
from ledger import evidence
from ledger.database import Database
from ledger.log import Log
from ledger.sequencer import keep_up
from web.log import log_app

SIGNER = Signer("log.example/evidence", Ed25519PrivateKey.from_private_bytes(bytes(32)))
CHAIN = ChainId("eip155:1")

Grow = Callable[[int], Awaitable[None]]


def record(n: int) -> EvidenceRecord:
    block = Block(number=n, hash=f"0x{n:064x}", time=chain_time(n))
    step = Step(leg=0, kind=Kind.LOCKED, chain=CHAIN, transaction=f"0x{n:064x}", block=block, log_index=0)
    token = TokenId(f"{CHAIN}/erc20:0x{1:040x}")
    return EvidenceRecord(deal=f"0x{n % 7:064x}", escrow_id=f"0x{n:064x}", step=step, token=token, amount=n)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Grow]]:
    """A log without witnesses, and a way to let it grow by so many records."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/log.db")
    await database.create()
    log = Log(database, SIGNER)
    await log.create()
    size = 0

    async def grow(count: int) -> None:
        nonlocal size
        async with database.write() as session:
            await evidence.extend(session, [record(n) for n in range(size, size + count)])
        size += count
        assert await keep_up(log, [], 0)

    transport = httpx.ASGITransport(log_app(log))
    async with httpx.AsyncClient(transport=transport, base_url="http://log.example") as http:
        yield http, grow
    await database.close()


async def test_monitor__rebuilds_the_root_from_tiles_and_from_entries(served) -> None:
    http, grow = served
    await grow(600)
    note = Note.parse((await http.get("/checkpoint")).text)
    checkpoint = open_checkpoint(note, SIGNER.key.name, [SIGNER.key])
    assert checkpoint.size == 600
    hashes, entries = [], []
    for path in ("000", "001", "002.p/88"):
        hashes += tiles.hashes((await http.get(f"/tile/0/{path}")).content)
        entries += tiles.unbundle((await http.get(f"/tile/entries/{path}")).content)
    assert entries == [record(n).canonical() for n in range(600)]
    assert hashes == [merkle.leaf_hash(each) for each in entries]
    assert merkle.root(600, merkle.nodes(hashes)) == checkpoint.root
    assert len((await http.get("/tile/1/000.p/2")).content) == 2 * 32


async def test_headers__checkpoint_is_fresh_and_tiles_last(served) -> None:
    http, grow = served
    await grow(1)
    checkpoint, tile = await http.get("/checkpoint"), await http.get("/tile/0/000.p/1")
    entries = await http.get("/tile/entries/000.p/1")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "public, max-age=1"
    for each in (tile, entries):
        assert each.headers["content-type"] == "application/octet-stream"
        assert "immutable" in each.headers["cache-control"]
    assert "content-encoding" not in tile.headers, "hashes do not get smaller"


async def test_entries__are_compressed_for_those_who_can(served) -> None:
    http, grow = served
    await grow(256)
    packed = await http.get("/tile/entries/000")
    plain = await http.get("/tile/entries/000", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content


async def test_tile__of_an_earlier_checkpoint_stays(served) -> None:
    http, grow = served
    await grow(3)
    early = (await http.get("/tile/0/000.p/3")).content
    await grow(300)
    assert (await http.get("/tile/0/000.p/3")).content == early


@pytest.mark.parametrize("path", ["0/000", "0/000.p/4", "0/001.p/1", "1/000.p/1", "entries/000", "entries/001.p/1"])
async def test_tile__not_there_yet_is_not_remembered_as_missing(served, path: str) -> None:
    http, grow = served
    await grow(3)
    answer = await http.get(f"/tile/{path}")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("path", ["0/0", "0/000.p/0", "0/000.p/256", "64/000", "00/000", "0/x000/000", "data/000", "0"])
async def test_tile__other_spellings_are_unknown(served, path: str) -> None:
    http, grow = served
    await grow(300)
    assert (await http.get(f"/tile/{path}")).status_code == 404


async def test_checkpoint__before_the_first(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/log.db")
    await database.create()
    log = Log(database, SIGNER)
    await log.create()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(log_app(log)), base_url="http://log.example") as http:
        answer = await http.get("/checkpoint")
    await database.close()
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


async def test_index__tells_where_a_deals_records_are(served) -> None:
    http, grow = served
    await grow(20)
    assert (await http.get(f"/deals/{record(3).deal}")).json() == [3, 10, 17]
    assert (await http.get(f"/deals/0x{99:064x}")).json() == []
    assert (await http.get("/deals/hanako")).status_code == 400
