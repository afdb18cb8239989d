"""What happens on one chain releases payment on another: events of any contract, and payments."""

from connectionchain import AnyOf, State, TimeReached
from connectionchain.conditions import EventSeen, Paid
from connectionchain.escrow import call
from devnet.deploy import data_access
from tests.market import DATA_USED, Market


async def delivered(market: Market, **terms):
    """So many deliveries of the map by the provider, on the data chain."""
    usage = await market.usage()
    where = (*usage.where, {"field": "dataset", "value": "0x" + market.dataset("map").hex()})
    fields = {"chain": usage.chain, "contract": usage.contract, "event": DATA_USED, "since": usage.since}
    return EventSeen(where=where, **fields | terms)


async def purchase(scene, market: Market, condition, **terms):
    deal = scene.deal(scene.leg("A", market.consumer, market.provider), condition=condition, **terms)
    await scene.start(deal, market.consumer)
    return deal


async def test_event_seen__delivery_on_one_chain_releases_payment_on_another(scene) -> None:
    market = await Market.open(scene, map=600, table=150)
    deal = await purchase(scene, market, await delivered(market, count=2))
    waiting = await scene.reaches(deal, State.LOCKED)
    assert waiting.waiting_for == (f"2 of DataUsed by {data_access()} on {market.scene.stack.network.chain('b').id}",)
    await market.use("map", "table")  # the table is not what was ordered
    await scene.until(deal, lambda now: "1 of DataUsed" in "".join(now.waiting_for))
    assert await market.has() == [99_900, 0]
    await market.use("map")
    assert (await scene.ends(deal)).state is State.SETTLED
    assert await market.has() == [99_900, 100]


async def test_event_seen__of_a_foreign_contract_or_before_since_is_none(scene) -> None:
    market = await Market.open(scene, map=600)
    await market.use("map")
    async with scene.rpc("b") as rpc:
        later = await rpc.quantity("eth_blockNumber") + 1
    before = await delivered(market, since=later)
    elsewhere = await delivered(market, contract=scene.stack.network.token("B").id.address)
    deal = await purchase(scene, market, AnyOf(of=(before, elsewhere)), within=8)
    await scene.reaches(deal, State.LOCKED)
    assert (await scene.ends(deal)).state is State.REFUNDED


async def test_paid__in_another_currency_releases_the_escrow(scene) -> None:
    market = await Market.open(scene)
    buyer, seller = await scene.person("B"), market.consumer
    async with scene.rpc("b") as rpc:
        since = await rpc.quantity("eth_blockNumber")
    token = scene.stack.network.token("B").id
    paid = Paid(token=token, to=scene.account("B", seller), amount=70, since=since)
    deal = await purchase(scene, market, paid)
    await scene.reaches(deal, State.LOCKED)
    await scene.transact("b", buyer, token.address, call("transfer(address,uint256)", seller.address, 69))
    await scene.transact("b", buyer, token.address, call("transfer(address,uint256)", seller.address, 70))
    assert (await scene.ends(deal)).state is State.SETTLED


async def test_event_seen__or_a_time_goes_on_with_either(scene) -> None:
    market = await Market.open(scene, map=600)
    draft = scene.deal(scene.leg("A", market.consumer, market.provider))
    either = AnyOf(of=(await delivered(market), TimeReached(at=draft.decide_by)))
    deal = await purchase(scene, market, either)
    await scene.reaches(deal, State.LOCKED)
    await market.use("map")
    assert (await scene.ends(deal)).state is State.SETTLED
