"""A mandate outlives any history: it continues as new, and nothing is lost or paid twice on the way."""

from datetime import UTC, datetime, timedelta

import pytest

from connectionchain import Client
from connectionchain.billing import BillState, TopUp, termination
from devnet import temporal
from devnet.settings import worker_settings
from devnet.stack import Devnet
from roles.settings import Settings
from tests.conftest import Scene, Stack
from tests.market import Market, until
from worker import service

SUGGESTED_AT = 60
"""History events; the default of 4,096 would take a thousand settlements."""


@pytest.fixture
async def impatient(monkeypatch):
    """A stack of its own, whose engine suggests early to continue as new."""
    early = (*temporal.DYNAMIC_CONFIG, f"limit.historyCount.suggestContinueAsNew={SUGGESTED_AT}")
    monkeypatch.setattr(temporal, "DYNAMIC_CONFIG", early)
    async with Devnet.temporary(chains=2, block_time=0.25) as devnet:
        path = worker_settings(devnet.network, devnet.network_file, devnet.directory, devnet.keys)
        settings = Settings.load(path)
        async with service(settings):
            yield Scene(Stack(devnet, await Client.connect(devnet.network), settings))


async def test_long_mandate__continues_as_new_and_is_billed_to_the_unit(impatient) -> None:
    market = await Market.open(impatient, map=100)
    mandate = await market.mandate(cap=800, threshold=100, at_cap="record")
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    first = (await handle.describe()).run_id
    for uses in range(1, 9):
        await market.use("map")
        await until(handle, lambda now, uses=uses: now.progress.settled == 100 * uses)
    assert (await handle.describe()).run_id != first
    await handle.execute_update(
        "top_up", TopUp(number=1, amount=300, authorization=market.authorization(mandate, 1, 300))
    )
    await market.use("map", "map")
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    await until(handle, lambda now: now.progress.uses == 10)
    await handle.execute_update("terminate", termination(mandate, at, market.consumer))
    result = await handle.result()
    assert (result.state, result.progress.settled, result.progress.uses) == (BillState.CLOSED, 1000, 10)
    assert await market.has() == [99_000, 1000]
    assert (await handle.fetch_history()).events[-1].event_id < 3 * SUGGESTED_AT
