"""Which clock counts: a commit is too late as soon as any of them says so, an abort is due once the attestor's own
clock or every chain of the deal says so."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.facts import Witness
from adapters.evm.view import EvmView
from connectionchain import Deal
from connectionchain.errors import TooLate, Unavailable
from devnet.stack import Devnet

HOUR = 3600


@pytest.fixture
async def apart(stack, scene) -> AsyncIterator[Any]:
    """Two chains without anybody at work: their time can be advanced, and never goes back."""
    async with Devnet.temporary(chains=2, block_time=None) as devnet:
        views = {chain.id: EvmView(chain) for chain in devnet.network.chains.values()}
        yield replace(scene, stack=replace(stack, devnet=devnet)), Witness(views, lambda: datetime.now(UTC)), views
        for view in views.values():
            await view.close()


async def late(witness: Witness, deal: Deal) -> bool:
    """Whether it is too late for a commit. In time, the missing locks are all that is wrong."""
    with pytest.raises((TooLate, Unavailable)) as error:
        await witness.reason_to_commit(deal, [])
    assert error.value.field == ("decide_by" if error.type is TooLate else "legs.0")
    return error.type is TooLate


async def test_decide_by__by_the_clocks_of_attestor_and_chains(apart) -> None:
    scene, witness, views = apart
    hanako, shop = await scene.person(), await scene.person()
    legs = scene.leg("A", hanako, shop), scene.leg("B", shop, hanako)
    deal = scene.deal(*legs, within=HOUR)
    passed = "decide_by has passed"
    assert not await late(witness, deal)
    assert await witness.reason_to_abort(deal, []) != passed

    ahead = Witness(views, lambda: deal.decide_by)
    assert await late(ahead, deal)
    assert await ahead.reason_to_abort(deal, []) == passed
    behind = Witness(views, lambda: deal.decide_by - timedelta(seconds=1))
    assert not await late(behind, deal)

    await scene.stack.devnet.chain("a").advance(HOUR + 60)
    assert await late(witness, deal)
    assert await witness.reason_to_abort(deal, []) != passed  # one chain's clock alone is no reason

    await scene.stack.devnet.chain("b").advance(HOUR + 60)
    assert await witness.reason_to_abort(deal, []) == passed
