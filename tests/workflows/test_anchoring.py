"""The log's checkpoints on real chains: posted once, found again, and only what the log signed counts."""

import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectionchain import State, anchors
from connectionchain.published import PublishedLog
from connectionchain.settlement import TASK_QUEUE
from connectionchain.tlog.checkpoint import Checkpoint
from connectionchain.tlog.note import Key, Signer
from workflows.anchoring import SCHEDULE, Anchoring

CHEAP = 40_000
"""Gas."""


async def anchored(scene, *chains: str) -> list[str]:
    """Runs the workflow now: the transactions."""
    ids = [scene.stack.network.chain(name).id for name in chains or "abc"]
    client = scene.stack.client.engine.temporal
    name = f"anchoring-{secrets.token_hex(4)}"
    return await client.execute_workflow(Anchoring.run, ids, id=name, task_queue=TASK_QUEUE)


async def settled(scene) -> None:
    """Something new in the log."""
    payer, payee = await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", payer, payee))
    await scene.start(deal, payer)
    assert (await scene.ends(deal)).state is State.SETTLED
    assert len((await scene.stack.client.evidence(deal)).records) == 2


async def newest(scene, chain: str) -> anchors.Posted | None:
    network = scene.stack.network
    async with scene.rpc(chain) as rpc:
        return await anchors.newest(rpc, network.chain(chain).anchor_address, Key.parse(network.log.key))


async def test_anchoring__posts_the_same_signed_checkpoint_on_every_chain_cheaply(scene) -> None:
    await settled(scene)
    transactions = await anchored(scene)
    found = [await newest(scene, chain) for chain in "abc"]
    assert [each.transaction for each in found] == transactions
    with PublishedLog(scene.stack.network.log.url) as log:
        size = Checkpoint.parse((await log.checkpoint()).text).size
    assert 0 < found[0].checkpoint.size <= size
    for chain, transaction in zip("abc", transactions, strict=True):
        receipt = await scene.stack.devnet.chain(chain).call("eth_getTransactionReceipt", transaction)
        assert int(receipt["gasUsed"], 16) < CHEAP
        assert receipt["from"] == scene.stack.keys[f"node.{chain}"].address.lower()


async def test_anchoring__again_posts_nothing(scene) -> None:
    await settled(scene)
    assert await anchored(scene, "a") == await anchored(scene, "a")


async def test_anchoring__a_stranger_was_faster(scene) -> None:
    """Anybody may post: what he posts counts as ours does, because the log signed it."""
    await settled(scene)
    network, stranger = scene.stack.network, await scene.person()
    key = Key.parse(network.log.key)
    with PublishedLog(network.log.url) as log:
        content = anchors.content(await log.checkpoint(), key)
    receipt = await scene.transact("b", stranger, network.chain("b").anchor_address, "0x" + content.encode().hex())
    assert await anchored(scene, "b") == [receipt["transactionHash"]]


async def test_newest__leaves_out_what_the_log_did_not_sign(scene) -> None:
    await settled(scene)
    [ours] = await anchored(scene, "c")
    network, stranger = scene.stack.network, await scene.person()
    forger = Signer(Key.parse(network.log.key).name, Ed25519PrivateKey.generate())
    forged = str(forger.sign(str(Checkpoint(forger.key.name, 10**6, bytes(32)))))
    for junk in (forged.encode(), b"", b"\xff" * 100, forged.encode()[:-40]):
        await scene.transact("c", stranger, network.chain("c").anchor_address, "0x" + junk.hex())
    await scene.stack.devnet.chain("c").mine(3)
    found = await newest(scene, "c")
    assert found
    assert found.transaction == ours


async def test_schedule__is_there_for_all_chains(scene) -> None:
    description = await scene.stack.client.engine.temporal.get_schedule_handle(SCHEDULE).describe()
    [every] = description.schedule.spec.intervals
    assert every.every.total_seconds() == scene.stack.settings.anchor_minutes * 60
