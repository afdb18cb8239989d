"""A token that refuses to pay the provider: nothing is lost, and it is paid as soon as it can be."""

import json
from pathlib import Path

from connectionchain.authorization import OnChain
from connectionchain.billing import BillState
from connectionchain.escrow import TERMS, call
from connectionchain.ids import TokenId
from tests.market import Market, until

TOKEN = Path(__file__).parents[1] / "contracts" / "BlocklistToken.json"


async def test_provider_blocked__is_paid_once_the_token_allows_it(scene) -> None:
    market = await Market.open(scene, map=600)
    consumer, provider = market.consumer, market.provider
    receipt = await scene.transact("a", consumer, None, json.loads(TOKEN.read_text())["bytecode"])
    token, escrow = receipt["contractAddress"], scene.stack.network.chain("a").escrow.address
    chain = scene.stack.network.chain("a").id
    mandate = await market.mandate(token=TokenId(f"{chain}/erc20:{token}"), threshold=100, period=3)
    await scene.transact("a", consumer, token, call("mint(address,uint256)", consumer.address, 10_000))
    await scene.transact("a", consumer, token, call("approve(address,uint256)", escrow, 10_000))
    await scene.transact("a", consumer, escrow, call(f"lock({TERMS})", mandate.entry(0, mandate.cap).row))
    await scene.transact("a", consumer, token, call("setBlocked(address,bool)", provider.address, True))

    handle = await market.start(mandate, OnChain())
    await until(handle, lambda now: now.state is BillState.ACTIVE)
    await market.use("map")
    refused = await until(handle, lambda now: "reverts" in now.progress.reason)
    assert (refused.progress.settled, refused.progress.used) == (0, 600)

    await scene.transact("a", consumer, token, call("setBlocked(address,bool)", provider.address, False))
    paid = await until(handle, lambda now: now.progress.settled == 600)
    assert paid.progress.reason == ""
