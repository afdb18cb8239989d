"""One lane per account: a sequence is claimed once, its bytes are stored before they are sent, and evidence comes
with the end of an operation or not at all."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import select

from connectionchain.evidence import Block, EvidenceRecord, Kind, Step
from connectionchain.ids import ChainId, TokenId
from ledger import evidence
from ledger.database import Database
from ledger.outbox import Fate, Outbox, OutboxTransaction, Signed

CHAIN, ACCOUNT = ChainId("eip155:31337"), "0x" + "ab" * 20
DEAL = "0x" + "0d" * 32


def sign(sequence: int) -> Signed:
    return Signed(hash=f"0x{sequence:064x}", raw=f"raw {sequence}".encode())


def record(leg: int = 0) -> EvidenceRecord:
    block = Block(number=7, hash="0x" + "0b" * 32, time=datetime(2026, 11, 22, tzinfo=UTC))
    step = Step(leg=leg, kind=Kind.LOCKED, chain=CHAIN, transaction="0x" + "0a" * 32, block=block, log_index=leg)
    token = TokenId(f"{CHAIN}/erc20:0x{'cc' * 20}")
    return EvidenceRecord(deal=DEAL, escrow_id="0x" + "0e" * 32, step=step, token=token, amount=100)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, CHAIN, ACCOUNT)


async def claim(outbox: Outbox, name: str, at: int = 0) -> OutboxTransaction:
    (claimed,) = await outbox.claim(name, at, {"fee": 1}, sign)
    return claimed


async def rows(database: Database) -> list[OutboxTransaction]:
    async with database.read() as session:
        return list(await session.exec(select(OutboxTransaction)))


async def told(database: Database) -> list[EvidenceRecord]:
    async with database.read() as session:
        return await evidence.records(session, DEAL)


async def test_claim__counts_on_from_what_the_chain_says(outbox: Outbox) -> None:
    claimed = [await claim(outbox, name, 5) for name in "abc"]
    assert [each.sequence for each in claimed] == [5, 6, 7]
    assert (await claim(outbox, "d", 11)).sequence == 11  # somebody used the account meanwhile
    assert (await claim(outbox, "e", 4)).sequence == 12  # a node that is behind


async def test_claim__stores_what_was_signed_before_it_returns(database: Database, outbox: Outbox) -> None:
    claimed = await claim(outbox, "a", 3)
    (stored,) = await rows(database)
    assert (stored.operation, stored.sequence, stored.fate) == ("a", 3, Fate.OPEN)
    assert (stored.hash, stored.raw) == (sign(3).hash, sign(3).raw) == (claimed.hash, claimed.raw)
    assert stored.plan == {"fee": 1}


async def test_claim__again_is_the_same_transaction(database: Database, outbox: Outbox) -> None:
    def never(_sequence: int) -> Signed:
        raise AssertionError("signed twice")

    first = await claim(outbox, "a")
    (again,) = await outbox.claim("a", 9, {}, never)
    assert (again.sequence, again.raw) == (first.sequence, first.raw)
    assert len(await rows(database)) == 1


async def test_claim__of_a_sequence_whose_signing_fails_leaves_no_gap(outbox: Outbox) -> None:
    def fails(_sequence: int) -> Signed:
        raise RuntimeError("no key")

    await claim(outbox, "a")
    with pytest.raises(RuntimeError, match="no key"):
        await outbox.claim("b", 0, {}, fails)
    assert (await claim(outbox, "c")).sequence == 1
    assert await outbox.attempts("b") == []


async def test_claim__by_many_at_once_gives_each_its_own(database: Database, outbox: Outbox) -> None:
    await claim(outbox, "first")
    names = [f"deal/{n}/lock" for n in range(12)]
    claimed = await asyncio.gather(*(claim(outbox, name) for name in names))
    assert sorted(each.sequence for each in claimed) == list(range(1, 13))
    again = await asyncio.gather(*(claim(outbox, name) for name in names))
    assert [each.sequence for each in again] == [each.sequence for each in claimed]
    assert len(await rows(database)) == 13


async def test_lanes__of_other_accounts_and_chains_are_apart(database: Database, outbox: Outbox) -> None:
    elsewhere = Outbox(database, ChainId("eip155:31338"), ACCOUNT)
    somebody = Outbox(database, CHAIN, "0x" + "ef" * 20)
    await claim(outbox, "a", 5)
    assert (await claim(elsewhere, "b")).sequence == 0
    assert (await claim(somebody, "c")).sequence == 0
    assert await elsewhere.waiting(0, 100) != await outbox.waiting(0, 100)


async def test_replace__keeps_the_sequence(outbox: Outbox) -> None:
    first = await claim(outbox, "a", 4)
    seen: list[int] = []

    def dearer(sequence: int) -> Signed:
        seen.append(sequence)
        return Signed(hash="0x" + "dd" * 32, raw=b"dearer")

    second = await outbox.replace(first, {"fee": 2}, dearer)
    assert (seen, second.sequence, second.attempt, second.raw) == ([4], 4, 1, b"dearer")
    assert [each.raw for each in await outbox.attempts("a")] == [first.raw, b"dearer"]
    behind = await outbox.replace(first, {"fee": 3}, dearer)  # a second worker, with what it saw before
    assert (behind.attempt, len(seen)) == (1, 1)
    assert (await claim(outbox, "b")).sequence == 5


async def test_waiting__is_the_newest_of_each_sequence_whatever_its_operation_became(outbox: Outbox) -> None:
    first = await claim(outbox, "a", 4)
    await claim(outbox, "b")
    await claim(outbox, "c")
    await outbox.replace(first, {}, lambda _: Signed(hash="0x" + "dd" * 32, raw=b"dearer"))
    await outbox.finish("b", Fate.DEAD)
    assert [each.raw for each in await outbox.waiting(4, 6)] == [b"dearer", b"raw 5"]
    assert await outbox.waiting(6, 6) == []


async def test_finish__ends_the_operation_with_its_evidence(database: Database, outbox: Outbox) -> None:
    await claim(outbox, "a")
    await claim(outbox, "b")
    await outbox.finish("a", Fate.FINAL, [record(0), record(1)])
    assert {each.operation: each.fate for each in await rows(database)} == {"a": Fate.FINAL, "b": Fate.OPEN}
    assert await told(database) == [record(0), record(1)]
    await outbox.finish("a", Fate.FINAL, [record(1), record(0)])
    assert await told(database) == [record(0), record(1)]


async def test_finish__of_an_operation_somebody_else_did_leaves_evidence_too(
    database: Database, outbox: Outbox
) -> None:
    await outbox.finish("never claimed", Fate.FINAL, [record()])
    assert await told(database) == [record()]
    assert await rows(database) == []


async def test_finish__is_all_or_nothing(database: Database, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in between leaves neither a final operation without evidence nor evidence of an open one."""
    await claim(outbox, "a")
    real = evidence.append

    async def crash(session: Any, each: EvidenceRecord) -> None:
        await real(session, each)
        if each.step.leg == 1:
            raise ConnectionError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(evidence, "append", crash)
        with pytest.raises(ConnectionError):
            await outbox.finish("a", Fate.FINAL, [record(0), record(1)])
    assert [each.fate for each in await rows(database)] == [Fate.OPEN]
    assert await told(database) == []
    await outbox.finish("a", Fate.FINAL, [record(0), record(1)])
    assert [each.fate for each in await rows(database)] == [Fate.FINAL]
    assert len(await told(database)) == 2


async def test_dead_operation__is_planned_anew_with_a_new_sequence(database: Database, outbox: Outbox) -> None:
    await claim(outbox, "a")
    await outbox.finish("a", Fate.DEAD)
    assert await outbox.attempts("a") == []
    assert (await claim(outbox, "a")).sequence == 1
    assert [(each.sequence, each.fate) for each in await rows(database)] == [(0, Fate.DEAD), (1, Fate.OPEN)]
