"""What is looked at before a deal starts or a statement is sent, so that mistakes are met early and in words.

None of it is relied upon: the workflow, the attestors and the escrow check for themselves.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from eth_abi.abi import decode

from connectionchain.authorization import Erc3009, OnChain, Permit, erc3009_typed_data
from connectionchain.client.amounts import shown
from connectionchain.conditions import EventSeen, Paid, parts
from connectionchain.deal import LONGEST, Deal, Leg
from connectionchain.errors import BadSignature, InsufficientFunds, InvalidInput
from connectionchain.escrow import Terms, call
from connectionchain.ids import AccountId, ChainId, TokenId
from connectionchain.mandate import Mandate
from connectionchain.model import rfc3339
from connectionchain.network import Chain, Network
from connectionchain.rpc import Rpc
from connectionchain.settlement import LegAuthorization, check_leg

KEY_SIGNATURE = 2 + 2 * 65


async def before_start(network: Network, deal: Deal, authorizations: Sequence[LegAuthorization]) -> None:
    """Raises InvalidInput (times, chains, tokens), BadSignature, InsufficientFunds, Unavailable (a chain's nodes)."""
    now = datetime.now(UTC)
    deal.check_open(now)
    for leg in deal.legs:
        network.chain(leg.chain)
        network.token(leg.token)
    for part in parts(deal.condition):
        if isinstance(part, EventSeen | Paid):
            network.chain(part.chain)  # nobody could ever see it happen
    for each in authorizations:
        check_leg(deal, each.leg)
        await _check_signature(network, deal, each, now)
    check_margins(deal, now, await finality_seconds(network, deal.chains))
    signed = [each.leg for each in authorizations if not isinstance(each.authorization, OnChain)]
    await check_funds(network, [deal.legs[n] for n in signed])


async def before_mandate(network: Network, mandate: Mandate) -> None:
    """Raises InvalidInput (times), UnknownName (chains, tokens), InsufficientFunds, Unavailable (a chain's nodes)."""
    now = datetime.now(UTC)
    network.chain(mandate.usage.chain)
    network.token(mandate.token)
    if now >= mandate.end:
        raise InvalidInput(f"{rfc3339(mandate.end)} has passed", field="end", remedy="choose a later time")
    if mandate.expiry - now > LONGEST:
        remedy = "choose an earlier time: until then the cap stays locked"
        raise InvalidInput(f"{rfc3339(mandate.expiry)} is too far ahead", field="expiry", remedy=remedy)
    await _check_funds(network, mandate.token, mandate.consumer, mandate.cap)


async def _check_signature(network: Network, deal: Deal, given: LegAuthorization, now: datetime) -> None:
    """A contract's owner may sign with as many bytes as a key does: whoever has code is asked on chain, later."""
    try:
        check_signature(network, deal, given, now)
    except BadSignature:
        leg = deal.legs[given.leg]
        async with Rpc(network.chain(leg.chain)) as rpc:
            if await rpc.call("eth_getCode", leg.payer.address, "latest") == "0x":
                raise


def check_signature(network: Network, deal: Deal, given: LegAuthorization, now: datetime) -> None:
    """A key's signature must be the payer's own; contracts (ERC-1271) are asked on chain, later."""
    leg, authorization = deal.legs[given.leg], given.authorization
    escrow, terms = network.chain(leg.chain).escrow, Terms.of(deal, leg)
    match authorization:
        case Erc3009():
            if authorization.valid_before <= now.timestamp():
                raise InvalidInput("has passed", field=f"legs.{given.leg}.valid_before", remedy="sign anew")
            typed = erc3009_typed_data(terms, escrow, network.token(leg.token), authorization.valid_before)
            signature = authorization.signature
        case Permit():
            typed, signature = terms.typed_data(escrow), authorization.terms_signature
        case _:
            return
    if len(signature) == KEY_SIGNATURE and typed.signer_of(signature) != leg.payer.address:
        raise BadSignature(
            f"the signature is not {leg.payer}'s over this deal",
            field=f"legs.{given.leg}.authorization",
            remedy="sign this very deal with the payer's key",
        )


def check_margins(deal: Deal, now: datetime, finality: float) -> None:
    """The rule: locks must be able to become final before decide_by, and settlements between decide_by and expiry."""
    room = {"decide_by": deal.decide_by - now, "expiry": deal.expiry - deal.decide_by}
    for field, span in room.items():
        if span.total_seconds() <= finality:
            since = "now" if field == "decide_by" else "decide_by"
            raise InvalidInput(
                f"{span.total_seconds():.0f} s after {since} is too near for finality ({finality:.0f} s)",
                field=field,
                remedy="choose a later time",
            )


async def finality_seconds(network: Network, chains: Iterable[ChainId]) -> float:
    """How long the slowest of these chains takes to make a transaction final: `depth` blocks or, where nodes tell
    finality by a tag, the present distance of that tag from the newest block and two blocks more."""
    return max(await asyncio.gather(*(_finality_seconds(network.chain(chain)) for chain in chains)))


async def _finality_seconds(chain: Chain) -> float:
    async with Rpc(chain) as rpc:
        if chain.finality.policy == "depth":
            await rpc.quantity("eth_blockNumber")
            return chain.finality.depth * chain.block_time
        newest, final = await rpc.block(), await rpc.final_block()
    return (newest.time - final.time).total_seconds() + 2 * chain.block_time


async def check_funds(network: Network, legs: Iterable[Leg]) -> None:
    """Each payer must have what his authorised legs add up to."""
    needed: Counter[tuple[TokenId, AccountId]] = Counter()
    for leg in legs:
        needed[leg.token, leg.payer] += leg.amount
    await asyncio.gather(*(_check_funds(network, *owner, amount) for owner, amount in needed.items()))


async def _check_funds(network: Network, token: TokenId, payer: AccountId, amount: int) -> None:
    has = await balance(network, token, payer)
    if has < amount:
        raise InsufficientFunds(
            f"{payer} has {shown(network, token, has)}, the deal locks {shown(network, token, amount)}",
            field="payer",
            remedy="pay less, or fill up the account",
        )


async def balance(network: Network, token: TokenId, account: AccountId) -> int:
    """Base units at the newest block."""
    async with Rpc(network.chain(token.chain)) as rpc:
        data = await rpc.read(token.address, call("balanceOf(address)", account.address))
    return int(decode(["uint256"], bytes.fromhex(data[2:]))[0])
