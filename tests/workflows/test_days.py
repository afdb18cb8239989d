"""Deadlines of days: the engine's clock is skipped, the chains' are advanced."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import TimeSkipper

from connectionchain import Cancellable, Client, Confirmed, Deal, Explanation, State
from connectionchain.client.engine import Engine
from connectionchain.evidence import Kind
from devnet import temporal
from devnet.settings import worker_settings
from devnet.stack import Devnet
from roles.settings import Settings
from worker import service

SKIPPING = ("frontend.WorkflowTimeSkippingEnabled=true", 'history.timerProcessorMaxTimeShift="10ms"')
DAY = 24 * 3600


@dataclass
class Hurried:
    """A devnet whose time can be moved. Time skipping is experimental in Temporal: it is used here only."""

    scene: Any
    skipper: TimeSkipper

    async def start(self, deal: Deal, *keys: Any, **options: Any) -> WorkflowHandle[Any, Any]:
        return await self.scene.start(deal, *keys, **options)

    async def pass_until(self, deal: Deal, time: datetime) -> None:
        """It is `time` now: on the chains, and a moment later for the workflow."""
        for chain in self.scene.stack.devnet.chains.values():
            newest = int((await chain.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
            await chain.advance(max(1, int(time.timestamp()) - newest))
        handle = self.scene.handle(deal)
        for_workflow = time - datetime.now(UTC) + timedelta(seconds=1)
        await self.skipper.fast_forward(handle, for_workflow)


@pytest.fixture
async def hurried(stack, scene, monkeypatch) -> AsyncIterator[Hurried]:
    """Each test has its own: a chain whose time was advanced never goes back."""
    monkeypatch.setattr(temporal, "DYNAMIC_CONFIG", (*temporal.DYNAMIC_CONFIG, *SKIPPING))
    async with Devnet.temporary(chains=2, block_time=0.25) as devnet:
        path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
        async with service(Settings.load(path)):
            client = await Client.connect(devnet.network)
            skipper = TimeSkipper(client.engine.temporal)
            skipping = Client(devnet.network, Engine(client.engine.temporal))
            yield Hurried(replace(scene, stack=replace(stack, devnet=devnet, client=skipping)), skipper)


async def purchase(hurried: Hurried, **terms: Any) -> tuple[Deal, Any, list[Any]]:
    scene = hurried.scene
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    shops = scene.account("B", shop)
    terms = {"condition": Confirmed(by=shops), "cancellable": Cancellable(by=(shops,))} | terms
    deal = scene.deal(scene.leg("A", hanako, bank), scene.leg("B", bank, shop), **terms)
    return deal, shop, [hanako, bank]


async def balances(hurried: Hurried, shop: Any, payers: list[Any]) -> list[int]:
    scene = hurried.scene
    return await scene.has("A", *payers) + await scene.has("B", *payers, shop)


async def test_week__in_which_nobody_answers(hurried) -> None:
    scene = hurried.scene
    deal, shop, payers = await purchase(hurried, within=7 * DAY, settle=DAY)
    await hurried.start(deal, *payers)
    await scene.reaches(deal, State.LOCKED)
    await hurried.pass_until(deal, deal.decide_by)
    result: Explanation = await scene.ends(deal)
    assert (result.state, result.reason) == (State.REFUNDED, "decide_by has passed")
    refunds = [step for step in result.steps if step.kind is Kind.REFUNDED]
    assert len(refunds) == 2
    assert all(deal.decide_by <= step.block.time < deal.expiry for step in refunds)
    assert await balances(hurried, shop, payers) == [1_000_00, 0, 0, 1_000_00, 0]


async def test_month__in_which_the_payer_does_not_authorise(hurried) -> None:
    scene = hurried.scene
    deal, shop, payers = await purchase(hurried, within=30 * DAY, settle=DAY)
    await hurried.start(deal, payers[0])
    await hurried.pass_until(deal, deal.decide_by)
    result: Explanation = await scene.ends(deal)
    assert (result.state, result.steps) == (State.EXPIRED, ())
    assert await balances(hurried, shop, payers) == [1_000_00, 0, 0, 1_000_00, 0]
