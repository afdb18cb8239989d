"""One follower tells everybody what happened to their entries, what became final, and what was taken back."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from adapters.base import Incident
from adapters.evm.follower import Follower
from adapters.evm.view import EvmView
from connectionchain.escrow import TERMS, Terms, call
from connectionchain.evidence import Block
from connectionchain.network import Finality
from devnet.stack import Devnet

FINAL_DEPTH = 3


@pytest.fixture(scope="module")
async def devnet() -> AsyncIterator[Devnet]:
    async with Devnet.temporary(chains=1) as devnet:
        yield devnet


@pytest.fixture
async def view(devnet) -> AsyncIterator[EvmView]:
    finality = Finality(policy="depth", depth=FINAL_DEPTH)
    view = EvmView(devnet.network.chains["a"].model_copy(update={"finality": finality}))
    yield view
    await view.close()


@pytest.fixture
def incidents() -> list[Incident]:
    return []


@pytest.fixture
def follower(view, incidents) -> Follower:
    return following(view, incidents)


def following(view: EvmView, incidents: list[Incident]) -> Follower:
    async def note(incident: Incident) -> None:
        incidents.append(incident)

    return Follower(view, note)


async def mine(devnet: Devnet, blocks: int = 1) -> None:
    for _ in range(blocks):
        await devnet.chain("a").mine()


async def event(devnet: Devnet) -> str:
    """An entry that has an event in the newest block, all alone: burnt by its payer before it was locked."""
    chain, hanako = devnet.network.chains["a"], devnet.keys["hanako"].address
    deal = "0x" + secrets.token_hex(32)
    terms = Terms(payer=hanako, payee="0x" + "12" * 20, token="0x" + "34" * 20, amount=1, expiry=2**39, deal=deal)
    await devnet.chain("a").call("anvil_impersonateAccount", hanako)
    data = call(f"cancel({TERMS})", terms.row)
    await devnet.chain("a").call("eth_sendTransaction", {"from": hanako, "to": chain.escrow_address, "data": data})
    return terms.id(chain.escrow)


async def told(follower: Follower, entry: str, mark: int) -> bool:
    """Whether there is news of the entry since `mark`, without waiting for it."""
    waiting = asyncio.create_task(follower.news([entry], mark, 60))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    waiting.cancel()
    return bool(done)


async def test_news__when_touched_and_again_when_final(follower, devnet) -> None:
    await follower.poll()
    mark = follower.mark
    entry = await event(devnet)
    await follower.poll()
    assert await told(follower, entry, mark)
    mark = follower.mark
    for _ in range(FINAL_DEPTH - 1):
        assert not await told(follower, entry, mark)
        await mine(devnet)
        await follower.poll()
    assert await told(follower, entry, mark)


async def test_news__not_of_others(follower, devnet) -> None:
    await follower.poll()
    mark = follower.mark
    await event(devnet)
    await follower.poll()
    assert not await told(follower, "0x" + "ab" * 32, mark)


async def test_news__of_blocks_that_came_while_it_was_not_looking(follower, devnet) -> None:
    await follower.poll()
    mark = follower.mark
    entry = await event(devnet)
    await mine(devnet, 40)
    await follower.poll()
    assert await told(follower, entry, mark)


async def test_news__when_a_reorganisation_takes_it_back(follower, devnet, incidents) -> None:
    await mine(devnet, FINAL_DEPTH)
    await follower.poll()
    entry = await event(devnet)
    await follower.poll()
    mark = follower.mark
    await devnet.chain("a").call("anvil_rollback", 1)
    await mine(devnet, 2)
    await follower.poll()
    assert await told(follower, entry, mark)
    assert incidents == []


async def test_news__waits_no_longer_than_its_patience(follower) -> None:
    async with asyncio.timeout(5):
        await follower.news(["0x" + "cd" * 32], follower.mark, 0.05)


async def test_incident__a_final_block_is_replaced(follower, devnet, incidents) -> None:
    await follower.poll()
    entry = await event(devnet)
    await follower.poll()
    await mine(devnet, FINAL_DEPTH)
    await follower.poll()
    replaced = follower.final
    await devnet.chain("a").call("anvil_rollback", FINAL_DEPTH + 1)
    await mine(devnet, FINAL_DEPTH + 3)
    await follower.poll()
    (incident,) = incidents
    assert incident.entries == {entry}
    assert incident.number <= replaced.number
    await mine(devnet)
    await follower.poll()
    assert len(incidents) == 1  # told once


async def test_incident__it_happened_while_no_process_was_looking(view, follower, devnet, incidents) -> None:
    """The block that was final in the last run is held against the chain that the next run finds."""
    await mine(devnet, FINAL_DEPTH)
    known = await view.block("final")
    forged = Block(number=known.number, hash="0x" + "77" * 32, time=known.time)
    async with follower.running(forged), asyncio.timeout(10):
        while not incidents:  # noqa: ASYNC110 - the follower polls by itself
            await asyncio.sleep(0.05)
    assert (incidents[0].number, incidents[0].hash) == (forged.number, forged.hash)


async def test_resume__from_a_block_that_is_still_final(view, follower, devnet, incidents) -> None:
    await mine(devnet, FINAL_DEPTH)
    known, mark = await view.block("final"), follower.mark
    entry = await event(devnet)
    async with follower.running(known), asyncio.timeout(10):
        await follower.news([entry], mark, 10)
    assert follower.head.number > known.number
    assert incidents == []


async def test_news__too_old_to_be_known_is_taken_for_news(follower, devnet, monkeypatch) -> None:
    """Only recent news is remembered, so that a long life takes no more memory."""
    monkeypatch.setattr("adapters.evm.follower.REMEMBERED_NEWS", 2)
    await follower.poll()
    mark = follower.mark
    entry = await event(devnet)
    await follower.poll()
    for _ in range(FINAL_DEPTH + 3):
        assert await told(follower, entry, mark)
        await mine(devnet)
        await follower.poll()
    assert entry not in follower._news
    assert await told(follower, entry, mark)
    assert not await told(follower, "0x" + "ef" * 32, follower.mark)
