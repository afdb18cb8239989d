"""The outbox against a model chain that loses, reverts and re-orders: each sequence has one owner, nothing signed is
ever signed again, and what was stored is what is sent."""

import asyncio
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlmodel import select

from connectionchain.ids import ChainId
from ledger.database import Database
from ledger.outbox import Fate, Outbox, OutboxTransaction, Signed

CHAIN = ChainId("eip155:1")
OPERATIONS = tuple(f"0xdeal/{leg}/{verb}" for leg in (0, 1) for verb in ("lock", "refund"))
operations = st.sampled_from(OPERATIONS)


class OutboxMachine(RuleBasedStateMachine):
    """Several workers use one account: each claims, replaces and finishes; the chain takes sequences one by one."""

    @initialize(taken=st.integers(0, 5))
    def begin(self, taken: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(f"sqlite+aiosqlite:///{Path(self.folder.name) / 'outbox.db'}")
        self.loop.run_until_complete(self.database.create())
        self.outbox = Outbox(self.database, CHAIN, "0xaccount")
        self.taken = taken
        self.first = taken
        self.signed: dict[str, int] = {}
        self.ended: dict[str, list[str]] = {}

    def sign(self, label: str):
        def sign(sequence: int) -> Signed:
            raw = f"{label} at {sequence}, signature {len(self.signed)}"
            self.signed[raw] = sequence
            return Signed(hash=f"hash of {raw}", raw=raw.encode())

        return sign

    @rule(operation=operations)
    def claim(self, operation: str) -> None:
        open_before = self.attempts(operation)
        signed_before = len(self.signed)
        got = self.run(self.outbox.claim(operation, self.taken, {"for": operation}, self.sign(operation)))
        assert [each.hash for each in got] == [each.hash for each in self.attempts(operation)]
        if open_before:
            assert [each.raw for each in got] == [each.raw for each in open_before]
            assert len(self.signed) == signed_before
        else:
            assert got[0].sequence >= self.taken
            assert self.signed[got[0].raw.decode()] == got[0].sequence

    @rule(operation=operations, workers=st.integers(2, 4))
    def claim_at_once(self, operation: str, workers: int) -> None:
        async def together() -> list[list[OutboxTransaction]]:
            claims = [self.outbox.claim(operation, self.taken, {"by": n}, self.sign(operation)) for n in range(workers)]
            return await asyncio.gather(*claims)

        assert len({each.hash for got in self.run(together()) for each in got[:1]}) == 1

    @rule(operation=operations)
    def replace(self, operation: str) -> None:
        attempts = self.attempts(operation)
        if attempts:
            newest = self.run(self.outbox.replace(attempts[-1], {"fee": "more"}, self.sign(operation)))
            assert (newest.sequence, newest.attempt) == (attempts[-1].sequence, attempts[-1].attempt + 1)
            late = self.run(self.outbox.replace(attempts[-1], {"fee": "late"}, self.sign(operation)))
            assert late.hash == newest.hash

    @rule(operation=operations, fate=st.sampled_from([Fate.FINAL, Fate.DEAD]))
    def finish(self, operation: str, fate: Fate) -> None:
        before = self.attempts(operation)
        self.run(self.outbox.finish(operation, fate))
        assert self.attempts(operation) == []
        self.ended.setdefault(operation, []).extend(each.hash for each in before)

    @precondition(lambda self: self.taken < self.claimed)
    @rule()
    def chain_takes_one(self) -> None:
        self.taken += 1

    @precondition(lambda self: self.taken > self.first)
    @rule(depth=st.integers(1, 3))
    def chain_forgets(self, depth: int) -> None:
        """A reorganisation: what was taken waits again."""
        self.taken = max(self.first, self.taken - depth)

    @rule()
    def stranger_uses_the_account(self) -> None:
        self.taken = self.claimed + 1

    @rule()
    def restart(self) -> None:
        self.run(self.database.close())
        self.database = Database(self.database.url)
        self.outbox = Outbox(self.database, CHAIN, "0xaccount")

    @invariant()
    def one_owner_for_each_sequence(self) -> None:
        owners: dict[int, set[str]] = {}
        for row in self.rows:
            owners.setdefault(row.sequence, set()).add(row.operation)
        assert all(len(each) == 1 for each in owners.values())

    @invariant()
    def what_was_stored_is_what_was_signed(self) -> None:
        assert all(self.signed[row.raw.decode()] == row.sequence for row in self.rows)
        assert {row.hash for row in self.rows} == {f"hash of {raw}" for raw in self.signed}

    @invariant()
    def the_lane_goes_on(self) -> None:
        """Whatever the chain has not taken and a later transaction waits for is found, newest attempt, in order."""
        waiting = self.run(self.outbox.waiting(self.taken, self.claimed)) if hasattr(self, "loop") else []
        expected: dict[int, str] = {}
        for row in sorted(self.rows, key=lambda row: (row.sequence, row.attempt)):
            if row.sequence >= self.taken:
                expected[row.sequence] = row.hash
        assert [each.hash for each in waiting] == list(expected.values())

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        for operation, hashes in getattr(self, "ended", {}).items():
            assert not {each.hash for each in self.attempts(operation)} & set(hashes)

    # ------------------------------------------------------------------------------------------------ looking

    def run(self, work):
        return self.loop.run_until_complete(work)

    def attempts(self, operation: str) -> list[OutboxTransaction]:
        return self.run(self.outbox.attempts(operation))

    @property
    def rows(self) -> list[OutboxTransaction]:
        async def read() -> list[OutboxTransaction]:
            async with self.database.read() as session:
                return list(await session.exec(select(OutboxTransaction)))

        return self.run(read()) if hasattr(self, "loop") else []

    @property
    def claimed(self) -> int:
        """One more than the highest sequence that was ever claimed."""
        return max((row.sequence + 1 for row in self.rows), default=self.taken)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run(self.database.close())
            self.loop.close()
            self.folder.cleanup()


OutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestOutbox = OutboxMachine.TestCase


async def test_outbox__age_counts_from_when_it_was_stored(database) -> None:
    outbox = Outbox(database, CHAIN, "0xaccount")
    (stored,) = await outbox.claim("op", 0, {}, lambda sequence: Signed(hash="h", raw=b"r"))
    (read,) = await outbox.attempts("op")
    assert timedelta(0) <= read.age < timedelta(minutes=1)
    assert isinstance(stored.created, datetime)
