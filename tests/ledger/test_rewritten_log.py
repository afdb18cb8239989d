"""The log's operator has its key and its database in hand, and changes what was recorded.

A witness that saw the first history refuses the second; if all witnesses help him, the chain still has the first.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from bench import sample
from connectionchain import anchors, transactions
from connectionchain.audit.posted import check_posted
from connectionchain.audit.report import Check
from connectionchain.audit.trust import Trust
from connectionchain.errors import Unavailable
from connectionchain.evidence import EvidenceRecord
from connectionchain.export import Export
from connectionchain.network import Chain
from connectionchain.rpc import Rpc
from connectionchain.tlog.errors import BadProof
from connectionchain.tlog.proof import LogProof
from connectionchain.verify import verify
from devnet.stack import Devnet
from ledger import evidence
from ledger.cosigning import WitnessLink
from ledger.database import Database
from ledger.log import Forked, Log
from ledger.sequencer import keep_up, turn
from ledger.witness import Witness, origin_hash

DEALS = [sample.deal() for _ in range(3)]
STEPS = [step for deal in DEALS for step in sample.steps(deal)]


@dataclass
class Operator:
    """The log in the operator's hands, with the witnesses that watch it."""

    database: Database
    log: Log
    witnesses: list[Witness]

    async def keep_up(self) -> bool:
        links = [WitnessLink(each.key, each.add_checkpoint) for each in self.witnesses]
        return await keep_up(self.log, links, len(links))

    async def rewrite(self, *records: EvidenceRecord) -> None:
        """Forgets everything, then records this instead."""
        async with self.database.engine.begin() as connection:
            for table in ("evidence", "log_tile", "log_head"):
                await connection.execute(text(f"DELETE FROM {table}"))
        await self.log.create()
        async with self.database.write() as session:
            await evidence.extend(session, records)

    async def shown(self) -> Export:
        """The first deal as the log proves it now, with what else belongs into a file."""
        proofs = tuple(proof for _, proof in STEPS[:4])
        certificate, records = sample.certificate(DEALS[0]), await self.log.export(DEALS[0].id)
        return Export(deal=DEALS[0], certificate=certificate, records=records, transactions=proofs)


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    databases = [Database(f"sqlite+aiosqlite:///{tmp_path}/{name}.db") for name in ("log", "w0", "w1", "w2")]
    for each in databases:
        await each.create()
    witnesses = [Witness(db, key, [sample.LOG.key]) for db, key in zip(databases[1:], sample.WITNESSES, strict=True)]
    operator = Operator(databases[0], Log(databases[0], sample.LOG), witnesses)
    await operator.rewrite(*(record for record, _ in STEPS))
    assert await operator.keep_up()
    assert verify((await operator.shown()).write(), sample.TRUST).ok
    yield operator
    for each in databases:
        await each.close()


def without_second_deal() -> list[EvidenceRecord]:
    return [record for record, _ in STEPS if record.deal != DEALS[1].id]


async def test_rewritten__a_shorter_a_longer_and_an_equally_long_history_are_refused(operator: Operator) -> None:
    before = await operator.log.checkpoint()
    other = [record.model_copy(update={"amount": 1}) for record, _ in STEPS]
    for history in (without_second_deal(), other, [*other, other[0].model_copy(update={"deal": "0x" + "77" * 32})]):
        await operator.rewrite(*history)
        assert not await operator.keep_up()
        assert await operator.log.checkpoint() is None
    for each in operator.witnesses:
        assert (await each.split_views())[0].size == len(STEPS), "two signatures over one size: a confession"
        seen = await each.checkpoint(origin_hash(operator.log.origin))
        assert before
        assert seen is not None
        assert seen.startswith(before.text)


async def test_rewritten__an_entry_alone_no_longer_proves_anything(operator: Operator) -> None:
    async with operator.database.engine.begin() as connection:
        await connection.execute(text("""UPDATE evidence SET body = replace(body, '"12345600"', '"1"')"""))
    [first, *_] = (await operator.shown()).records
    with pytest.raises(BadProof, match="inclusion proof"):
        LogProof.parse(first.proof).verify(first.record.canonical(), sample.TRUST.policy)


async def test_rewritten__a_tile_alone_stops_the_log(operator: Operator) -> None:
    async with operator.database.engine.begin() as connection:
        await connection.execute(text("UPDATE log_tile SET hashes = zeroblob(length(hashes))"))
    async with operator.database.write() as session:
        await evidence.append(session, STEPS[0][0].model_copy(update={"deal": "0x" + "66" * 32, "amount": 7}))
        await evidence.extend(session, [r for r, _ in sample.steps(sample.deal())])
    with pytest.raises(Forked):
        await operator.keep_up()
    assert not await turn(operator.log, [], 0), "the process goes on, and alarms"


# ----------------------------------------------------------------------------------- and if the witnesses help him


@pytest.fixture
async def chain() -> AsyncIterator[tuple[Devnet, Chain]]:
    async with Devnet.temporary(chains=1) as net:
        yield net, net.network.chain("a")


async def post(net: Devnet, chain: Chain, content: str) -> None:
    """Anchored finally."""
    async with Rpc(chain.model_copy(update={"escrow_address": chain.anchor_address})) as rpc:
        await transactions.send(rpc, "0x" + content.encode().hex(), net.keys["taro"])
    await net.chain("a").mine(3)


@pytest.mark.parametrize("also", [0, 20], ids=["shorter", "longer"])
async def test_rewritten__with_all_witnesses_the_anchor_still_tells(
    operator: Operator, chain: tuple[Devnet, Chain], also: int
) -> None:
    net, config = chain
    trust = Trust.model_validate({**sample.TRUST.model_dump(), "anchors": {config.id: config.anchor_address}})
    honest = await operator.log.checkpoint()
    assert honest
    await post(net, config, anchors.content(honest, sample.LOG.key))
    async with Rpc(config) as rpc:
        nodes = {config.id: rpc}
        assert await check_posted(await operator.shown(), trust, nodes, operator.log) == []

        more = [record for _ in range(also // 4) for record, _ in sample.steps(sample.deal())]
        await operator.rewrite(*without_second_deal(), *more)
        note = await operator.log.advance()
        assert note
        await operator.log.add_cosignatures(note, [each.cosign(note.text, 1) for each in sample.WITNESSES])
        forged = await operator.shown()
        assert verify(forged.write(), trust).ok, "offline, with log and witnesses in league, the forgery stands"
        [finding] = await check_posted(forged, trust, nodes, operator.log)
    assert finding.check is Check.ANCHOR
    assert finding.where == f"newest anchor on {config.id}"
    assert "rewritten" in finding.meaning


async def test_anchor__a_log_that_gives_no_proof_is_named(operator: Operator, chain: tuple[Devnet, Chain]) -> None:
    class Silent:
        async def consistency(self, old_size: int, size: int) -> list[bytes]:
            raise Unavailable("no answer")

    net, config = chain
    trust = Trust.model_validate({**sample.TRUST.model_dump(), "anchors": {config.id: config.anchor_address}})
    note = await operator.log.checkpoint()
    assert note
    await post(net, config, anchors.content(note, sample.LOG.key))
    await operator.rewrite(*without_second_deal())
    again = await operator.log.advance()
    assert again
    await operator.log.add_cosignatures(again, [each.cosign(again.text, 1) for each in sample.WITNESSES])
    async with Rpc(config) as rpc:
        [finding] = await check_posted(await operator.shown(), trust, {config.id: rpc}, Silent())
    assert finding.what == "could not be checked: no answer"
