"""The log and its witnesses as the worker runs them."""

import asyncio
import time

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain import Confirmed, State
from connectionchain.errors import InvalidInput, Unavailable, UnknownName
from connectionchain.tlog.checkpoint import open_checkpoint
from connectionchain.tlog.cosignature import WitnessKey, require_quorum
from connectionchain.tlog.note import Key, Note
from ledger.database import Database
from web.roles import evidence_log, log_witness


async def positions(http: httpx.AsyncClient, deal: str) -> list[int]:
    return (await http.get(f"/deals/{deal}")).json()


async def test_settled_deal__is_under_a_witnessed_checkpoint_within_a_second(scene) -> None:
    log = scene.stack.network.log
    hanako, shop = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop), condition=Confirmed(by=scene.account("A", shop)))
    await scene.start(deal, hanako)
    await scene.reaches(deal, State.LOCKED)
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED
    ended = time.monotonic()
    async with httpx.AsyncClient(base_url=log.url) as http:
        while True:
            found = await positions(http, deal.id)
            note = Note.parse((await http.get("/checkpoint")).text)
            checkpoint = open_checkpoint(note, Key.parse(log.key).name, [Key.parse(log.key)])
            if len(found) == 2 and checkpoint.size > max(found):
                break
            await asyncio.sleep(0.02)
    assert time.monotonic() - ended < 1
    assert require_quorum(note, [WitnessKey.parse(each.key) for each in log.witnesses.values()], 2)


async def test_witness__answers_monitors_on_its_own_port(scene) -> None:
    log = scene.stack.network.log
    assert len({each.url for each in log.witnesses.values()} | {log.url}) == 4
    async with httpx.AsyncClient() as http:
        for each in log.witnesses.values():
            assert (await http.post(f"{each.url}/add-checkpoint", content="")).status_code == 400


@pytest.fixture
async def database(tmp_path) -> Database:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/own.db")
    await database.create()
    yield database
    await database.close()


async def test_start__with_a_key_that_is_not_the_logs(scene, database) -> None:
    log, stranger = scene.stack.network.log, Ed25519PrivateKey.generate()
    with pytest.raises(InvalidInput, match="the network names"):
        async with evidence_log(log, database, stranger, "127.0.0.1", 0):
            pass
    with pytest.raises(InvalidInput, match="the network names"):
        async with log_witness("alice", log, database, stranger, "127.0.0.1", 0):
            pass


async def test_start__as_a_witness_the_network_does_not_name(scene, database) -> None:
    with pytest.raises(UnknownName, match="no witness 'mallory'"):
        async with log_witness("mallory", scene.stack.network.log, database, None, "127.0.0.1", 0):
            pass


async def test_start__port_taken(scene, database) -> None:
    role = scene.stack.settings.log
    seed = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(role.key_file.read_text().strip()[2:]))
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{role.port}"):
        async with evidence_log(scene.stack.network.log, database, seed, "127.0.0.1", role.port):
            pass
