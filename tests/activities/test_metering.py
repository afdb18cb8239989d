"""An attestor signs for use it has counted on its own nodes, to the unit, and nothing it was merely told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account
from temporalio.exceptions import ApplicationError

from activities.metering import MeterAttestor
from activities.orders import MeteringOrder, ReckonOrder
from adapters.evm.view import EvmView
from connectionchain.billing import BillState, dispute, metering_typed_data, termination
from connectionchain.typed_data import expanded
from ledger.database import Database
from tests.market import Market, until


class Own:
    """An attestor of the test's own, on the session's chains: a fourth, whom no workflow asks."""

    def __init__(self, scene: Any, views: dict[Any, EvmView], database: Database) -> None:
        self.key, self.now = Account.create(), None
        clock = lambda: self.now or datetime.now(UTC)  # noqa: E731
        self.attestor = MeterAttestor(self.key, scene.stack.network, views, clock, database)

    async def attest(self, mandate, total: int, **reckon: Any):
        order = ReckonOrder(mandate=mandate, **{"entries": (mandate.cap,)} | reckon)
        return await self.attestor.attest_metering(MeteringOrder(reckon=order, total=total))

    async def refuses(self, kind: str, mandate, total: int, **reckon: Any) -> str:
        with pytest.raises(ApplicationError) as refusal:
            await self.attest(mandate, total, **reckon)
        assert refusal.value.type == kind, refusal.value
        return refusal.value.message


@pytest.fixture
async def own(stack, scene, tmp_path):
    views = {chain.id: EvmView(chain) for chain in stack.network.chains.values()}
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/attestor.db")
    await database.create()
    yield Own(scene, views, database)
    await database.close()
    for view in views.values():
        await view.close()


async def used(scene, **terms):
    """A mandate with 600 and 150 used, finally, and never settled by its workflow."""
    market = await Market.open(scene, map=600, table=150)
    mandate = await market.mandate(**{"threshold": 9_000} | terms)
    handle = await market.start(mandate)
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map", "table")
    await until(handle, lambda now: now.progress.uses == 2)
    return market, mandate


async def test_amount__up_to_what_is_due_and_never_less_than_before(scene, own) -> None:
    _, mandate = await used(scene)
    assert "only 750 is due" in await own.refuses("Unavailable", mandate, 751)
    given = await own.attest(mandate, 700)
    escrow = scene.stack.network.chain(mandate.chain).escrow
    typed = metering_typed_data(mandate.entry(0, mandate.cap).id(escrow), 700, False, escrow)
    assert typed.signer_of(expanded(given.signatures[0])) == given.attestor == own.key.address.lower()
    assert await own.attest(mandate, 700) == given
    assert "signed for 700 already" in await own.refuses("Refused", mandate, 699)
    await own.attest(mandate, 750)


async def test_cap__that_is_not_locked_is_none(scene, own) -> None:
    _, mandate = await used(scene, cap=700)
    await own.refuses("Unavailable", mandate, 750, entries=(700, 5_000))
    await own.refuses("Unavailable", mandate, 750)
    await own.attest(mandate, 600)


async def test_close__needs_a_reason_and_the_exact_amount(scene, own) -> None:
    market, mandate = await used(scene)
    assert "not at its end" in await own.refuses("Unavailable", mandate, 750, closing=True)
    now = datetime.now(UTC).replace(microsecond=0)
    forged = termination(mandate, now, market.provider)
    await own.refuses("BadSignature", mandate, 750, closing=True, termination=forged)
    ended = termination(mandate, now + timedelta(seconds=1), market.consumer)
    await asyncio.sleep(4)  # until a later block is final
    await own.attest(mandate, 750, closing=True, termination=ended)
    assert "750 is due" in await own.refuses("Refused", mandate, 600, closing=True, termination=ended)
    other = termination(mandate, now + timedelta(seconds=2), market.consumer)
    await own.refuses("AlreadyDecided", mandate, 750, termination=other)


async def test_termination__long_ago_would_cheat_the_provider(scene, own) -> None:
    market, mandate = await used(scene)
    early = termination(mandate, datetime.now(UTC).replace(microsecond=0) - timedelta(days=2), market.consumer)
    await own.refuses("TooLate", mandate, 0, closing=True, termination=early)


async def test_dispute__counts_with_the_consumers_signature_and_leaves_no_trace_without(scene, own) -> None:
    market, mandate = await used(scene)
    use = (await market.uses(mandate))[0].at
    await own.refuses("BadSignature", mandate, 150, disputes=(dispute(mandate, use, market.provider),))
    await own.attest(mandate, 150)
    genuine = (dispute(mandate, use, market.consumer),)
    assert "only 150 is due" in await own.refuses("Unavailable", mandate, 750, disputes=genuine)
    await own.attest(mandate, 750)  # the refused order left no trace
    await own.refuses("Refused", mandate, 150, disputes=genuine)
