"""Everybody's balances, read from the token contracts."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from connectionchain.escrow import call
from connectionchain.network import Token
from connectionchain.rpc import Rpc
from connectionchain.settlement import State
from devnet.demo.results import ESCROW, Holding, Purchase, Supply
from devnet.demo.stage import Stage

Key = tuple[str, str]  # account, currency
TOTAL_SUPPLY = "0x" + keccak(text="totalSupply()")[:4].hex()
SUPPLY = ""
"""Stands for the account in the key of a currency's supply."""


async def balances(stage: Stage) -> dict[Key, int]:
    """Base units by account and currency, at the newest blocks; supplies too."""
    read = await asyncio.gather(*(_of_token(stage, token) for token in stage.network.tokens.values()))
    return {key: amount for each in read for key, amount in each.items()}


async def _of_token(stage: Stage, token: Token) -> dict[Key, int]:
    chain = stage.network.chain(token.id.chain)
    accounts = {name: key.address for name, key in stage.keys.items()} | {ESCROW: chain.escrow_address}
    calls = {name: call("balanceOf(address)", address) for name, address in accounts.items()}
    calls[SUPPLY] = TOTAL_SUPPLY
    async with Rpc(chain) as rpc:
        answers = await asyncio.gather(*(rpc.read(token.id.address, data) for data in calls.values()))
    amounts = [int(decode(["uint256"], bytes.fromhex(answer[2:]))[0]) for answer in answers]
    return {(name, token.symbol): amount for name, amount in zip(calls, amounts, strict=True)}


def compare(
    stage: Stage, purchases: Iterable[Purchase], before: dict[Key, int], after: dict[Key, int]
) -> tuple[list[Holding], list[Supply]]:
    """What everybody had, has, and should have: what was settled changed hands, everything else is back."""
    moved = Counter[Key]()
    for leg in (leg for each in purchases if each.expected is State.SETTLED for leg in each.deal.legs):
        symbol = stage.network.token(leg.token).symbol
        moved[stage.holder(leg.payer.address), symbol] -= leg.amount
        moved[stage.holder(leg.payee.address), symbol] += leg.amount
    holdings = [
        Holding(account=key[0], currency=key[1], before=had, after=after[key], due=had + moved[key])
        for key, had in before.items()
        if key[0] != SUPPLY and (had or after[key] or key[0] == ESCROW or moved[key])
    ]
    supplies = [Supply(currency=key[1], before=had, after=after[key]) for key, had in before.items() if not key[0]]
    return holdings, supplies
