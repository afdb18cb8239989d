"""Other trades than purchases, run by the same workflow."""

from collections import Counter

from temporalio.api.enums.v1 import EventType

from connectionchain import AccountId, Leg, State
from connectionchain.authorization import sign_erc3009
from connectionchain.evidence import Kind
from connectionchain.settlement import LegAuthorization
from devnet.deploy import Currency


async def test_trade__three_parties_on_three_chains(scene) -> None:
    hanako, shop, taro = await scene.person("A"), await scene.person("B"), await scene.person("C")
    deal = scene.deal(
        scene.leg("A", hanako, shop, 300), scene.leg("B", shop, taro, 200), scene.leg("C", taro, hanako, 100)
    )
    await scene.start(deal, hanako, shop, taro)
    result = await scene.ends(deal)
    assert result.state is State.SETTLED
    assert Counter(step.kind for step in result.steps) == {Kind.LOCKED: 3, Kind.RELEASED: 3}
    assert {step.chain for step in result.steps} == {chain.id for chain in scene.stack.network.chains.values()}
    assert await scene.has("A", hanako, shop, taro) == [1_000_00 - 300, 300, 0]
    assert await scene.has("B", hanako, shop, taro) == [0, 1_000_00 - 200, 200]
    assert await scene.has("C", hanako, shop, taro) == [100, 0, 1_000_00 - 100]


async def test_swap__two_currencies_on_one_chain_in_one_transaction(stack, scene) -> None:
    hanako, taro = await scene.person("A"), await scene.person()
    deployer = stack.devnet.deployer("a")
    async with stack.minting["a"]:
        chain, tokens = await deployer.deploy(0.5, [Currency("D", "a", "Regional Currency D", holders=())])
        await deployer.mint(tokens["D"].id.address, taro.address, 500)
    d = tokens["D"].id
    back = Leg(token=d, payer=scene.account("A", taro), payee=scene.account("A", hanako), amount=500)
    deal = scene.deal(scene.leg("A", hanako, taro, 700), back)
    until = int(deal.decide_by.timestamp())
    signature = sign_erc3009(scene.terms(deal, 1)[0], chain.escrow, tokens["D"], until, taro)
    handle = await scene.start(
        deal, given=[scene.signed(deal, hanako)[0], LegAuthorization(leg=1, authorization=signature)]
    )
    result = await scene.ends(deal)

    assert result.state is State.SETTLED
    assert await scene.has("A", hanako, taro) == [1_000_00 - 700, 700]
    held = [await _holds(scene, d.address, each.address) for each in (hanako, taro)]
    assert held == [500, 0]
    releases = [step for step in result.steps if step.kind is Kind.RELEASED]
    assert {step.leg for step in releases} == {0, 1}
    assert len({step.transaction for step in releases}) == 1
    history = await handle.fetch_history()
    activities = [e for e in history.events if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
    assert len(activities) == 2 + 3 + 1


async def test_trade__between_the_same_two_is_netted(scene) -> None:
    """Two legs of one payee in one currency are paid out in one transfer of their sum."""
    hanako, taro, shop = await scene.person("A"), await scene.person("A"), await scene.person()
    deal = scene.deal(scene.leg("A", hanako, shop, 30), scene.leg("A", taro, shop, 12))
    await scene.start(deal, hanako, taro)
    result = await scene.ends(deal)
    assert result.state is State.SETTLED
    (release,) = {step.transaction for step in result.steps if step.kind is Kind.RELEASED}
    receipt = await scene.stack.devnet.chain("a").call("eth_getTransactionReceipt", release)
    token = scene.stack.network.token("A").id.address
    transfers = [log for log in receipt["logs"] if log["address"].lower() == token]
    assert [int(log["data"], 16) for log in transfers] == [42]
    assert await scene.has("A", shop) == [42]


async def _holds(scene, token: str, address: str) -> int:
    async with scene.rpc("a") as rpc:
        return int(await rpc.read(token, f"0x70a08231{AccountId(f'eip155:1:{address}').address[2:]:0>64}"), 16)
