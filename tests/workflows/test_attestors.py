"""Attestors that do not answer: one of three is not missed; without two of three every payer gets his own back."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.worker import Worker

from activities.orders import GiveBackOrder, LockOrder, ReleaseOrder, node_queue
from connectionchain import Cancellable, Client, Confirmed, Deal, State
from connectionchain.certificate import Outcome
from connectionchain.errors import TooLate
from connectionchain.evidence import Block, Kind, Step
from connectionchain.settlement import Explanation
from devnet.settings import worker_settings
from devnet.stack import Devnet
from roles.settings import Settings
from worker import service


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Seconds in place of the minutes between decide_by, expiry and the last attempts."""
    monkeypatch.setattr("connectionchain.deal.SETTLEMENT_MARGIN", timedelta(seconds=1))
    monkeypatch.setattr("workflows.kit.ATTEST_ATTEMPT", timedelta(seconds=2))


async def test_one_of_three_dead__settles_and_refunds(scene) -> None:
    hanako, shop = await scene.person("A"), await scene.person()
    shops = scene.account("A", shop)
    terms = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))}
    client = scene.stack.client

    async def after(say) -> Explanation:
        deal = scene.deal(scene.leg("A", hanako, shop), **terms)
        await scene.start(deal, hanako, attestors=("alice", "dead", "carol"))
        await scene.reaches(deal, State.LOCKED)
        await say(deal, shop)
        return await scene.ends(deal)

    settled, refunded = await asyncio.gather(after(client.confirm), after(client.cancel))
    assert (settled.state, refunded.state) == (State.SETTLED, State.REFUNDED)
    living = {scene.stack.network.attestors.members[name] for name in ("alice", "carol")}
    for result in (settled, refunded):
        assert result.certificate is not None
        assert set(result.certificate.attestors) == living


async def test_two_of_three_dead__reclaimed_after_expiry_and_said_so(scene, impatient) -> None:
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    shops = scene.account("B", shop)
    legs = scene.leg("A", hanako, bank), scene.leg("B", bank, shop)
    deal = scene.deal(*legs, within=7, settle=4, condition=Confirmed(by=shops))
    await scene.start(deal, hanako, bank, attestors=("alice", "dead", "dead-too"))
    await scene.reaches(deal, State.LOCKED)
    await scene.stack.client.confirm(deal, shop)
    waiting = await scene.reaches(deal, State.COMMITTING)
    assert waiting.waiting_for == ("2 of 3 attestors to agree",)
    result = await scene.ends(deal)
    assert result.state is State.RECLAIMED
    assert result.certificate is None
    assert result.reason.startswith("too few attestors agree: ")
    assert "did not answer in time" in result.reason
    reclaims = [step for step in result.steps if step.kind is not Kind.LOCKED]
    assert [step.kind for step in reclaims] == [Kind.RECLAIMED] * 2
    assert all(step.block.time >= deal.expiry for step in reclaims)
    assert await scene.has("A", hanako, bank) + await scene.has("B", bank, shop) == [1_000_00, 0, 1_000_00, 0]
    with pytest.raises(TooLate):
        await scene.stack.client.confirm(deal, shop)


class Liar:
    """A connection node that says whatever a deal wants to hear, and does nothing."""

    def __init__(self) -> None:
        self.released = False

    @activity.defn
    async def lock(self, order: LockOrder) -> Step:
        return self._step(order.deal, order.leg, Kind.LOCKED)

    @activity.defn
    async def release(self, order: ReleaseOrder) -> list[Step]:
        self.released = True
        return [self._step(order.deal, leg, Kind.RELEASED) for leg in order.settlement.legs]

    @activity.defn
    async def give_back(self, order: GiveBackOrder) -> Step | None:
        return self._step(order.deal, order.leg, Kind.REFUNDED)

    def _step(self, deal: Deal, leg: int, kind: Kind) -> Step:
        block = Block(number=1, hash="0x" + "bb" * 32, time=deal.decide_by)
        chain = deal.legs[leg].chain
        return Step(leg=leg, kind=kind, chain=chain, transaction="0x" + "aa" * 32, block=block, log_index=0)


async def test_lying_connection_nodes__get_no_commit(stack, scene, impatient) -> None:
    """Both nodes claim locks that are not there; the attestors look for themselves, at chains that are real."""
    async with Devnet.temporary(chains=2, block_time=0.25) as devnet, AsyncExitStack() as workers:
        path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
        await workers.enter_async_context(service(Settings.load(path).model_copy(update={"nodes": ()})))
        client, liar = await Client.connect(devnet.network), Liar()
        for chain in devnet.network.chains.values():
            lies = [liar.lock, liar.release, liar.give_back]
            queue = node_queue(chain.id)
            await workers.enter_async_context(Worker(client.engine.temporal, task_queue=queue, activities=lies))
        deceived = replace(scene, stack=replace(stack, devnet=devnet, client=client))
        hanako, shop, bank = [await deceived.person(*symbols) for symbols in ("A", "", "B")]
        legs = deceived.leg("A", hanako, bank), deceived.leg("B", bank, shop)
        deal = deceived.deal(*legs, within=4, condition=Confirmed(by=deceived.account("B", shop)))
        await deceived.start(deal, hanako, bank)
        assert len((await deceived.reaches(deal, State.LOCKED)).steps) == 2
        await client.confirm(deal, shop)
        await deceived.reaches(deal, State.COMMITTING)
        result = await deceived.ends(deal)
        assert not liar.released
        assert result.certificate is not None
        assert result.certificate.outcome is Outcome.ABORT
        assert await deceived.has("A", hanako, bank) + await deceived.has("B", bank, shop) == [1_000_00, 0, 1_000_00, 0]
