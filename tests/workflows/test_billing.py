"""Use on one chain is paid on another, by mandate (paper, section 5.2)."""

from datetime import UTC, datetime, timedelta

from connectionchain.billing import BillState, termination
from tests.market import Market, until


async def test_use__is_paid_at_the_threshold_and_the_rest_returns(scene) -> None:
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate()
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    assert await market.has() == [90_000, 0]
    await market.use("map")
    await until(handle, lambda now: now.progress.used == 600)
    assert await market.has() == [90_000, 0]  # below the threshold
    await market.use("map", "table")
    paid = await until(handle, lambda now: now.progress.settlements == 1)
    assert await market.has() == [90_000, 1350]
    assert (paid.progress.uses, paid.remaining, paid.near_cap) == (3, 8650, False)
    await market.use("table")
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    await handle.execute_update("terminate", termination(mandate, now, market.consumer))
    result = await handle.result()
    assert result.state is BillState.CLOSED
    assert result.progress.settled == 1500
    assert await market.has() == [98_500, 1500]
