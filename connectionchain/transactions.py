"""What anybody with a key may do on the chains himself: reclaim after expiry, and carry out a decision.

Both work with every server of ours dead, and do no harm when done twice.
"""

import asyncio
import time
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from connectionchain.certificate import Certificate, Outcome, Settlement, settlements
from connectionchain.deal import Deal
from connectionchain.errors import InsufficientFunds, InvalidInput, Refused, Rejected, Unavailable
from connectionchain.escrow import Status, Terms, reclaim_call, refund_call, release_call
from connectionchain.evidence import Block
from connectionchain.ids import ChainId, Hex32
from connectionchain.model import Model, chain_time, rfc3339
from connectionchain.network import Network
from connectionchain.onchain import Entry, status
from connectionchain.rpc import NodeError, Rpc

INCLUSION_SECONDS = 120

REVERTS = {
    keccak(text=f"{name}({','.join(types)})")[:4]: (name, types)
    for name, types in {
        "BadStatus": ["bytes32", "uint8"],
        "Expired": ["bytes32", "uint256"],
        "NotExpired": ["bytes32", "uint256"],
        "NotAttestor": ["address"],
        "WrongSignatureCount": ["uint256", "uint256"],
        "NotAscending": ["address", "address"],
    }.items()
}


class Sent(Model):
    """A transaction of ours in its block."""

    chain: ChainId
    transaction: Hex32
    block: Block


async def reclaim(network: Network, entry: Entry, key: LocalAccount) -> Sent:
    """Gives an open entry back to its payer; anybody may, from expiry on, and pays only the chain's fee.

    Raises Refused before expiry by chain time, Rejected if the entry is no longer open.
    """
    async with Rpc(network.chain(entry.chain)) as rpc:
        expiry = chain_time(entry.terms.expiry)
        if (await rpc.block()).time < expiry:
            raise Refused(
                "the escrow is not expired yet",
                field="expiry",
                remedy=f"reclaim from {rfc3339(expiry)} (chain time) on",
            )
        return await send(rpc, reclaim_call(entry.terms), key)


async def settle(network: Network, deal: Deal, certificate: Certificate, key: LocalAccount) -> list[Sent]:
    """Carries out a decision on every chain where that is still to be done; returns what had to be sent.

    Raises InvalidInput if the certificate is of another deal, Rejected if a chain refuses it.
    """
    if certificate.deal != deal.id:
        raise InvalidInput(f"it is of deal {certificate.deal}", field="certificate", remedy=f"fetch that of {deal.id}")
    done = [await _carry_out(network, deal, certificate, each, key) for each in settlements(deal, certificate.outcome)]
    return [sent for sent in done if sent]


async def _carry_out(
    network: Network, deal: Deal, certificate: Certificate, settlement: Settlement, key: LocalAccount
) -> Sent | None:
    terms = [Terms.of(deal, deal.legs[n]) for n in settlement.legs]
    async with Rpc(network.chain(settlement.chain)) as rpc:
        if Status.LOCKED not in [await status(rpc, each) for each in terms]:
            return None
        signatures = certificate.signatures(deal, settlement)
        if certificate.outcome is Outcome.ABORT:
            return await send(rpc, refund_call(terms[0], signatures), key)
        ids = [each.id(rpc.chain.escrow) for each in terms]
        return await send(rpc, release_call(terms, ids, signatures), key)


async def send(rpc: Rpc, data: str, key: LocalAccount) -> Sent:
    """Signs a call of the chain's escrow, sends it and waits for its block.

    Raises Rejected if it would fail or failed, InsufficientFunds if the key cannot pay the chain's fee,
    Unavailable if it is not in a block after two minutes.
    """
    try:
        raw = bytes(key.sign_transaction(await _transaction(rpc, data, key.address)).raw_transaction)
        transaction = str(await rpc.call("eth_sendRawTransaction", "0x" + raw.hex()))
    except NodeError as error:
        raise _explained(error, key.address) from None
    receipt = await _receipt(rpc, transaction)
    if int(receipt["status"], 16) != 1:
        raise Rejected(f"transaction {transaction} on {rpc.chain.id} failed", remedy="look at the entry's status again")
    return Sent(chain=rpc.chain.id, transaction=transaction, block=await rpc.block(receipt["blockHash"]))


async def _transaction(rpc: Rpc, data: str, sender: str) -> dict[str, Any]:
    call = {"to": rpc.chain.escrow_address, "data": data}
    gas = await rpc.quantity("eth_estimateGas", call | {"from": sender})
    base = int((await rpc.call("eth_feeHistory", "0x1", "latest", []))["baseFeePerGas"][-1], 16)
    tip = await rpc.quantity("eth_maxPriorityFeePerGas")
    return {
        "type": 2,
        "chainId": int(rpc.chain.id.reference),
        "nonce": await rpc.quantity("eth_getTransactionCount", sender, "pending"),
        "to": bytes.fromhex(rpc.chain.escrow_address[2:]),
        "data": data,
        "value": 0,
        "gas": gas * 5 // 4,
        "maxFeePerGas": 2 * base + tip,
        "maxPriorityFeePerGas": tip,
    }


async def _receipt(rpc: Rpc, transaction: str) -> dict[str, Any]:
    until = time.monotonic() + INCLUSION_SECONDS
    while time.monotonic() < until:
        if receipt := await rpc.call("eth_getTransactionReceipt", transaction):
            return dict(receipt)
        await asyncio.sleep(min(1, rpc.chain.block_time / 2))
    raise Unavailable(
        f"transaction {transaction} on {rpc.chain.id} is sent but in no block yet",
        remedy="look later, or do the same again: it does no harm twice",
    )


def _explained(error: NodeError, sender: str) -> Rejected:
    if "insufficient funds" in error.message.lower():
        return InsufficientFunds(
            f"{sender} cannot pay the chain's fee", field="key", remedy="use a key with some of the chain's own coin"
        )
    return Rejected(f"the escrow refuses: {revert_reason(error)}", remedy="see `connectionchain evidence show`")


def revert_reason(error: NodeError) -> str:
    """The contract's own error in words, such as `Expired(0x…, 1790000000)`."""
    raw = bytes.fromhex(error.data[2:])
    name, types = REVERTS.get(raw[:4], ("", []))
    try:
        values = decode(types, raw[4:])
    except DecodingError:
        return error.message
    shown = ["0x" + value.hex() if isinstance(value, bytes) else str(value) for value in values]
    return f"{name}({', '.join(shown)})" if name else error.message
