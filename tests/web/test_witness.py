"""A witness's HTTP face, held to c2sp.org/tlog-witness; what it answers is tested with the ledger."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain.errors import Unavailable
from connectionchain.network import LogWitness
from connectionchain.tlog import merkle
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.cosignature import Cosigner, require_quorum
from connectionchain.tlog.note import Note, Signer
from ledger.database import Database
from ledger.witness import LARGEST_REQUEST, Witness, origin_hash, request
from web.witness import link, witness_app

LOG = Signer("log.example/evidence", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
COSIGNER = Cosigner("attestor.example/alice", Ed25519PrivateKey.from_private_bytes(b"a" * 32))
TREE = merkle.nodes([merkle.leaf_hash(b"%d" % n) for n in range(9)])
NAMED = LogWitness(url="http://witness.example/", key=str(COSIGNER.key))


def submission(old: int, size: int) -> str:
    note = LOG.sign(str(Checkpoint(LOG.key.name, size, merkle.root(size, TREE))))
    return request(old, merkle.consistency_proof(old, size, TREE), note)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/alice.db")
    await database.create()
    transport = httpx.ASGITransport(witness_app(Witness(database, COSIGNER, [LOG.key])))
    async with httpx.AsyncClient(transport=transport, base_url="http://witness.example") as client:
        yield client
    await database.close()


async def test_link__brings_the_cosignature_home(http: httpx.AsyncClient) -> None:
    answer = await link(http, NAMED).add_checkpoint(submission(0, 5))
    note = Note.parse(submission(0, 5).partition("\n\n")[2] + answer.body)
    assert answer.status == 200
    assert require_quorum(note, [COSIGNER.key], 1) == [COSIGNER.key]


async def test_conflict__has_the_size_and_its_own_type(http: httpx.AsyncClient) -> None:
    await http.post("/add-checkpoint", content=submission(0, 5))
    answer = await http.post("/add-checkpoint", content=submission(3, 8))
    assert (answer.status_code, answer.text) == (409, "5\n")
    assert answer.headers["content-type"] == "text/x.tlog.size"


async def test_monitor__sees_what_was_cosigned(http: httpx.AsyncClient) -> None:
    path = f"/{origin_hash(LOG.key.name)}/checkpoint"
    assert (await http.get(path)).status_code == 404
    await http.post("/add-checkpoint", content=submission(0, 5))
    served = await http.get(path)
    assert served.headers["content-type"] == "text/plain; charset=utf-8"
    assert Note.parse(served.text).signed_by([LOG.key, COSIGNER.key]) == [LOG.key, COSIGNER.key]


async def test_request__too_long_or_no_text(http: httpx.AsyncClient) -> None:
    assert (await http.post("/add-checkpoint", content=b"x" * (LARGEST_REQUEST + 1))).status_code == 413
    assert (await http.post("/add-checkpoint", content=b"\xff\xfe")).status_code == 400
    assert (await http.get("/add-checkpoint")).status_code == 405


async def test_link__nobody_there() -> None:
    async with httpx.AsyncClient() as http:
        witness = NAMED.model_copy(update={"url": "http://127.0.0.1:1"})
        with pytest.raises(Unavailable, match="does not answer: ConnectError"):
            await link(http, witness).add_checkpoint(submission(0, 5))
