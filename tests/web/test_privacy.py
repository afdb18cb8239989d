"""What is public of a deal for ever, and what can be erased without making the evidence void."""

import httpx
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest

from connectionchain import State, onchain
from connectionchain.accounts import AccountEntry
from connectionchain.audit.trust import Trust
from connectionchain.errors import UnknownName
from connectionchain.tlog import tiles
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.note import Note
from connectionchain.tlog.tiles import WIDTH, TilePath
from connectionchain.verify import verify


async def log_entries(url: str) -> list[bytes]:
    """All of the log, as any stranger can read it."""
    async with httpx.AsyncClient(base_url=url) as http:
        size = Checkpoint.parse(Note.parse((await http.get("/checkpoint")).text).text).size
        paths = [TilePath("entries", at, min(WIDTH, size - at * WIDTH)) for at in range(-(-size // WIDTH))]
        return [each for path in paths for each in tiles.unbundle((await http.get(f"/{path}")).content)]


@pytest.fixture
async def settled(scene):
    payer, payee = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", payer, payee), reference="order-4711")
    await scene.start(deal, payer)
    assert (await scene.ends(deal)).state is State.SETTLED
    return deal, await scene.stack.client.evidence(deal)


async def test_log__tells_nobody_who_or_what_for(scene, settled) -> None:
    deal, _ = settled
    mine = [each.decode() for each in await log_entries(scene.stack.network.log.url) if deal.id.encode() in each]
    assert len(mine) == 2
    private = ("order-4711", deal.salt, deal.legs[0].payer.address, deal.legs[0].payee.address, "reference")
    assert [word for word in private for entry in mine if word in entry] == []


async def keep_asking(client, deal: str) -> None:
    """The engine takes a moment to forget."""
    while True:
        await client.deal(deal)


async def test_erasure__of_the_deal_in_the_engine_leaves_the_evidence_good(scene, settled) -> None:
    deal, export = settled
    engine = scene.stack.client.engine.temporal
    request = DeleteWorkflowExecutionRequest(
        namespace=engine.namespace, workflow_execution=WorkflowExecution(workflow_id=deal.id)
    )
    await engine.workflow_service.delete_workflow_execution(request)
    with pytest.raises(UnknownName):
        await keep_asking(scene.stack.client, deal.id)
    assert verify(export.write(), Trust.of(scene.stack.network)).ok
    assert (await onchain.record(scene.stack.network, deal.id)).entries, "and the chains still tell of the deal's id"


async def test_erasure__of_a_name_in_the_account_book(scene) -> None:
    accounts = scene.stack.client.accounts
    entry = AccountEntry(handle="forgotten", alias="home", account=scene.account("A", await scene.person()))
    await accounts.register(entry)
    await accounts.delete("forgotten", "home")
    assert await accounts.of("forgotten") == []
