"""Operating on an EVM chain: price, sign, send and find transactions of one account."""

import asyncio
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.exceptions import TransactionNotFound, Web3RPCError

from adapters.base import Broadcast, Location, Operation, Plan, Prepared
from adapters.evm.calls import call_data
from adapters.evm.view import EvmView
from connectionchain.errors import Unavailable
from connectionchain.escrow import Terms
from connectionchain.evidence import Block, Kind, Step
from connectionchain.model import chain_time
from connectionchain.network import Chain

GAS_RESERVE = 1.25
"""Gas limit over the estimate: storage may be colder by the time of inclusion."""

_TOPIC_KIND = {
    keccak(text="Locked(bytes32,bytes32,address,address,address,uint256,uint256)"): Kind.LOCKED,
    keccak(text="Released(bytes32)"): Kind.RELEASED,
    keccak(text="Refunded(bytes32)"): Kind.REFUNDED,
    keccak(text="Reclaimed(bytes32)"): Kind.RECLAIMED,
    keccak(text="Cancelled(bytes32)"): Kind.CANCELLED,
}
_KNOWN = ("already known", "already imported", "known transaction")
_TAKEN = ("nonce too low", "replacement transaction underpriced", "nonce is too low")


class EvmAdapter(EvmView):
    """A `ChainAdapter`: the connection node's hands. `key` pays the fees and owns nothing else."""

    def __init__(self, chain: Chain, key: LocalAccount) -> None:
        super().__init__(chain)
        self._key = key
        self.account = key.address.lower()

    async def history(self, terms: Terms, leg: int) -> tuple[Step, ...]:
        final = await self._block("final")
        query = {
            "address": to_checksum_address(self.escrow.address),
            "fromBlock": self.config.escrow_block,
            "toBlock": final["number"],
            "topics": [None, terms.id(self.escrow)],
        }
        logs = await self.node.eth("get_logs", query)
        return tuple([await self._step(log, leg) for log in logs if bytes(log["topics"][0]) in _TOPIC_KIND])

    async def sequence(self) -> int:
        return int(await self.node.eth("get_transaction_count", self._key.address, "latest"))

    async def plan(self, operation: Operation) -> Plan:
        transaction: dict[str, Any] = {
            "from": self._key.address,
            "to": to_checksum_address(self.escrow.address),
            "data": call_data(operation, self.escrow),
        }
        gas = await self.node.eth("estimate_gas", transaction)
        head = await self.node.eth("get_block", "latest")
        tip = await self.node.tip()
        content = {
            "to": transaction["to"],
            "data": transaction["data"],
            "value": 0,
            "gas": int(gas * GAS_RESERVE),
            "maxFeePerGas": 2 * head.get("baseFeePerGas", 0) + tip,
            "maxPriorityFeePerGas": tip,
            "chainId": int(self.chain.reference),
            "type": 2,
        }
        return Plan(self.account, content)

    def sign(self, plan: Plan, sequence: int) -> Prepared:
        transaction: dict[str, Any] = {**plan.content, "nonce": sequence}
        signed = self._key.sign_transaction(transaction)
        return Prepared(self.account, sequence, signed.hash.to_0x_hex(), bytes(signed.raw_transaction))

    async def broadcast(self, prepared: Prepared) -> Broadcast:
        try:
            await self.node.eth("send_raw_transaction", prepared.raw)
        except Web3RPCError as error:
            message = str(error).lower()
            if any(words in message for words in _KNOWN):
                return Broadcast.KNOWN
            if any(words in message for words in _TAKEN):
                return Broadcast.CONFLICT
            raise Unavailable(f"the node refuses the transaction: {error}", field="rpc") from error
        return Broadcast.ACCEPTED

    async def locate(self, transaction: str) -> Location:
        try:
            receipt = await self.node.eth("get_transaction_receipt", transaction)
        except TransactionNotFound:
            return Location.ABSENT
        if receipt["status"] == 1 or receipt["blockNumber"] > (await self._block("final"))["number"]:
            return Location.INCLUDED
        return Location.REVERTED

    async def displaced(self, sequence: int) -> bool:
        final = await self._block("final")
        return int(await self.node.eth("get_transaction_count", self._key.address, final["number"])) > sequence

    async def next_block(self, after: Block) -> Block:
        while (block := await self.block("latest")).hash == after.hash:  # noqa: ASYNC110 - a node is polled
            await asyncio.sleep(min(self.config.block_time / 2, 2))
        return block

    async def _step(self, log: Any, leg: int) -> Step:
        block = await self.node.eth("get_block", log["blockNumber"])
        return Step(
            leg=leg,
            kind=_TOPIC_KIND[bytes(log["topics"][0])],
            chain=self.chain,
            transaction=log["transactionHash"].to_0x_hex(),
            block=Block(
                number=log["blockNumber"], hash=log["blockHash"].to_0x_hex(), time=chain_time(block["timestamp"])
            ),
            log_index=log["logIndex"],
        )
