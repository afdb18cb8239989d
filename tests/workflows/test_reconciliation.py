"""Chain, evidence and engine are compared; what was lost is taken up again or given back."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlmodel import select

from connectionchain import Confirmed, Deal, State
from connectionchain.escrow import Status, call
from connectionchain.evidence import EvidenceRecord
from connectionchain.onchain import status
from connectionchain.reconciliation import WORKFLOW, Finding, Problem, ReconciliationReport
from connectionchain.settlement import TASK_QUEUE
from ledger import evidence
from ledger.database import Database


async def reconciled(scene, thorough: bool = True) -> ReconciliationReport:
    chains = [chain.id for chain in scene.stack.network.chains.values()]
    return await scene.stack.client.engine.temporal.execute_workflow(
        WORKFLOW,
        args=[chains, thorough],
        id=f"reconcile-{secrets.token_hex(4)}",
        task_queue=TASK_QUEUE,
        result_type=ReconciliationReport,
    )


async def findings(scene, deal: Deal, thorough: bool = True) -> list[Finding]:
    return [each for each in (await reconciled(scene, thorough)).findings if each.deal == deal.id]


async def purchase(scene, within: float = 120, settle: float = 3600):
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    legs = scene.leg("A", hanako, bank), scene.leg("B", bank, shop)
    deal = scene.deal(*legs, within=within, settle=settle, condition=Confirmed(by=scene.account("B", shop)))
    await scene.start(deal, hanako, bank)
    await scene.reaches(deal, State.LOCKED)
    return deal, shop


async def test_reconcile__terminated_while_pending_is_taken_up_and_settles(scene) -> None:
    deal, shop = await purchase(scene)
    await scene.handle(deal).terminate("an operator's mistake")
    found = await findings(scene, deal)
    assert {each.problem for each in found} == {Problem.ABANDONED}
    assert {each.done for each in found} == {"deal taken up again"}
    await scene.reaches(deal, State.LOCKED)
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await scene.has("B", shop) == [100]
    assert await findings(scene, deal) == []


async def test_reconcile__what_was_compared_before_is_not_compared_again_but_what_was_open_is(scene) -> None:
    deal, shop = await purchase(scene)
    assert await findings(scene, deal) == []
    await scene.handle(deal).terminate("an operator's mistake")
    assert {each.done for each in await findings(scene, deal, thorough=False)} == {"deal taken up again"}
    await scene.reaches(deal, State.LOCKED)
    await scene.stack.client.confirm(deal, shop)
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await findings(scene, deal, thorough=False) == []
    async with lost_evidence(scene, deal.id):
        again = await reconciled(scene, thorough=False)
        everything = await reconciled(scene)
    assert deal.id not in {each.deal for each in again.findings}
    assert [each.done for each in everything.findings if each.deal == deal.id] == ["recorded"] * 4
    assert again.compared <= everything.compared - 2


async def test_reconcile__terminated_after_the_decision_still_commits(scene) -> None:
    """Half released must never become half refunded: the deal taken up again finds out what was decided."""
    deal, shop = await purchase(scene)
    await scene.stack.client.confirm(deal, shop)
    while (await scene.stack.client.explain(deal)).certificate is None:  # noqa: ASYNC110 - the engine is polled
        await asyncio.sleep(0.02)
    await scene.handle(deal).terminate("at the worst moment")
    await reconciled(scene)
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await scene.has("B", shop) == [100]


async def test_reconcile__attestors_remember_what_the_lost_workflow_did_not(scene) -> None:
    """The workflow is lost with the certificate: started anew it would abort, but the attestors have committed."""
    deal, shop = await purchase(scene, within=12)
    await scene.stack.client.confirm(deal, shop)
    while (await scene.stack.client.explain(deal)).certificate is None:  # noqa: ASYNC110 - the engine is polled
        await asyncio.sleep(0.02)
    handle = scene.handle(deal)
    first = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    await handle.terminate("at the worst moment")
    engine = scene.stack.client.engine.temporal
    (start,) = await engine.data_converter.decode(list(first.input.payloads), None)
    await engine.start_workflow("Settlement", start, id=deal.id, task_queue=TASK_QUEUE)
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await scene.has("B", shop) == [100]


async def test_reconcile__a_strangers_open_entry_waits_for_its_expiry_and_is_reclaimed(scene) -> None:
    payer, payee = await scene.person("A"), await scene.person()
    now = datetime.now(UTC).replace(microsecond=0)
    deal = Deal(
        legs=(scene.leg("A", payer, payee),), decide_by=now - timedelta(seconds=90), expiry=now + timedelta(seconds=8)
    )
    terms, entry = scene.terms(deal, 0)
    chain = scene.stack.network.chain("a")
    approve = call("approve(address,uint256)", chain.escrow_address, terms.amount)
    await scene.transact("a", payer, terms.token, approve)
    lock = call("lock((address,address,address,uint96,uint40,bytes32))", terms.row)
    await scene.transact("a", payer, chain.escrow_address, lock)
    await asyncio.sleep(2)  # some blocks, so that the lock is final

    (found,) = [each for each in await findings(scene, deal) if each.problem is Problem.ABANDONED]
    assert (found.entry, found.done) == (entry, "")
    async with scene.rpc("a") as rpc:
        while (await rpc.final_block()).time < deal.expiry:  # noqa: ASYNC110 - the chain is polled
            await asyncio.sleep(0.2)
    (found,) = [each for each in await findings(scene, deal) if each.problem is Problem.ABANDONED]
    assert found.done == "reclaimed for its payer"
    async with scene.rpc("a") as rpc:
        assert await status(rpc, terms) is Status.RECLAIMED
    assert await scene.has("A", payer) == [1_000_00]


async def recorded(scene, deal: str) -> list[EvidenceRecord]:
    database = Database(scene.stack.settings.database)
    async with database.read() as session:
        records = await evidence.records(session, deal)
    await database.close()
    return records


@asynccontextmanager
async def lost_evidence(scene, deal: str) -> AsyncIterator[list[EvidenceRecord]]:
    """What was on record and is not any more. The log is everybody's: its leaves are put back at the end."""
    database, before, leaves = Database(scene.stack.settings.database), await recorded(scene, deal), []
    async with database.write() as session:
        for table in (evidence.PendingEntry, evidence.EvidenceEntry):
            for row in await session.exec(select(table).where(table.deal == bytes.fromhex(deal[2:]))):
                await session.delete(row)
                leaves += [row.model_dump()] if table is evidence.EvidenceEntry else []
    try:
        yield before
    finally:
        async with database.write() as session:
            session.add_all(evidence.EvidenceEntry(**leaf | {"event": secrets.token_bytes(32)}) for leaf in leaves)
        await database.close()


async def test_reconcile__lost_evidence_is_recorded_again(scene) -> None:
    deal, shop = await purchase(scene)
    await scene.stack.client.confirm(deal, shop)
    await scene.ends(deal)
    async with lost_evidence(scene, deal.id) as before:
        found = await findings(scene, deal)
        after = await recorded(scene, deal.id)
    assert [each.done for each in found] == ["recorded"] * 4
    assert {each.problem for each in found} == {Problem.UNRECORDED}
    assert {each.step.transaction for each in after} == {each.step.transaction for each in before}


async def test_pause__a_chain_that_broke_its_promise_stops_the_deal_until_resumed(scene) -> None:
    deal, shop = await purchase(scene)
    await scene.handle(deal).signal("pause", "eip155:31337 replaced its final block 7")
    await scene.stack.client.confirm(deal, shop)
    now = await scene.stack.client.explain(deal)
    assert now.state is State.LOCKED
    assert "replaced its final block 7" in now.waiting_for[0]
    await scene.handle(deal).signal("resume")
    assert (await scene.ends(deal)).state is State.SETTLED
