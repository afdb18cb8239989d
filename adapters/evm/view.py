"""Reading an EVM chain: blocks, escrow entries, what a token and a contract account would say."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from web3.exceptions import BlockNotFound, Web3RPCError

from adapters.base import Depth, Entry, Look
from adapters.evm.logs import FEW, Query, Stride, in_parts
from adapters.evm.pool import Pool
from connectionchain.errors import Rejected, Unavailable
from connectionchain.escrow import Terms, call, decode_metered, lock_of_call
from connectionchain.events import EventFilter
from connectionchain.evidence import Block
from connectionchain.ids import AccountId
from connectionchain.model import chain_time
from connectionchain.network import Chain

ERC1271_MAGIC = "1626ba7e"


class EvmView:
    """A `ChainView` of an EVM chain. Depth `final` follows the chain's finality policy."""

    def __init__(self, chain: Chain) -> None:
        self.config, self.chain, self.escrow = chain, chain.id, chain.escrow
        self.node = Pool(chain)
        self.stride, self.escrow_stride, self._query = Stride(), Stride(fewest=FEW), Query(())

    async def close(self) -> None:
        await self.node.close()

    async def block(self, depth: Depth) -> Block:
        return block_of(await self.block_data(depth))

    async def entry(self, terms: Terms, depth: Depth) -> Entry:
        block = await self.block(depth)
        return await self.entry_at(terms, block, block.number)

    async def entry_at(self, terms: Terms, block: Block, tag: int | str) -> Entry:
        """The entry at `tag`, told to be of `block`."""
        status, paid = decode_metered(await self.call(self.escrow.address, lock_of_call(terms), tag))
        return Entry(status, block, paid)

    async def can_receive(self, terms: Terms) -> str | None:
        transfer = call("transfer(address,uint256)", terms.payee, terms.amount)
        try:
            await self.call(terms.token, transfer, "latest", sender=self.escrow.address)
        except Rejected as why:
            return why.message
        return None

    async def approves(self, account: AccountId, digest: str, signature: str) -> bool:
        question = call("isValidSignature(bytes32,bytes)", bytes.fromhex(digest[2:]), bytes.fromhex(signature[2:]))
        try:
            answer = await self.call(account.address, question, (await self.block("final")).number)
        except Rejected:
            return False
        return answer[2:10] == ERC1271_MAGIC and len(answer) == 2 + 64

    async def call(self, to: str, data: str, block: int | str, sender: str | None = None) -> str:
        """`eth_call`; the result 0x-prefixed. Raises Rejected on a revert, Unavailable if the node does not know it."""
        transaction: dict[str, Any] = {"to": to_checksum_address(to), "data": data}
        if sender:
            transaction["from"] = to_checksum_address(sender)
        try:
            return str(await self.node.raw("eth_call", transaction, block if isinstance(block, str) else hex(block)))
        except Web3RPCError as error:
            raise Unavailable(f"the node cannot make the call at block {block}: {error}", field="rpc") from error

    async def events(self, filters: Sequence[EventFilter], first: int, last: int) -> Look:
        if tuple(filters) != self._query.filters:
            self._query = Query(filters)
        query = self._query
        logs, reached = await query.logs(self.node, first, last, self.stride)
        return Look(reached, query.sieve.sort(logs))

    async def uint(self, to: str, signature: str, *values: Any) -> int:
        """A uint256 a contract answers now, such as `balanceOf(address)`."""
        result = await self.call(to, call(signature, *values), "latest")
        return int(decode(["uint256"], bytes.fromhex(result[2:]))[0])

    async def head(self) -> Any:
        """The newest block with all its header fields."""
        return await self.block_data("latest")

    async def hash_of(self, number: int) -> str | None:
        """The hash of the canonical block `number`; None if there is no such block (any more)."""
        try:
            return str((await self.node.eth("get_block", number))["hash"].to_0x_hex())
        except BlockNotFound:
            return None

    async def escrow_logs(self, first: int, last: int, entry: str | None = None) -> list[Any]:
        """The escrow's events in blocks `first` to `last`, of one entry (id) or of all."""
        return await self.logs(self.escrow.address, [None, entry] if entry else [], first, last)

    async def logs(self, contract: str, topics: Sequence[str | None], first: int, last: int) -> list[Any]:
        """A contract's events in these blocks, as far as the escrow was there already."""
        return [each async for part in self.parts(contract, topics, first, last) for each in part]

    def parts(self, contract: str, topics: Sequence[str | None], first: int, last: int) -> AsyncIterator[list[Any]]:
        """The same, of some blocks at a time."""
        where = {"address": to_checksum_address(contract), "topics": topics}

        async def ask(first: int, last: int) -> list[Any]:
            query = where | {"fromBlock": first, "toBlock": last}
            return list(await self.node.eth("get_logs", query, having=last))

        return in_parts(ask, max(first, self.config.escrow_block), last, self.escrow_stride)

    async def block_data(self, depth: Depth) -> Any:
        """The block with all its header fields, fetched anew."""
        finality = self.config.finality
        try:
            if depth == "latest":
                return await self.node.eth("get_block", "latest")
            if finality.policy != "depth":
                return await self.node.eth("get_block", finality.policy)
            head = await self.node.eth("get_block_number")
            return await self.node.eth("get_block", max(0, head - finality.depth + 1))
        except BlockNotFound as error:
            raise Unavailable(f"the node knows no {depth} block yet", field="rpc", remedy="wait for it") from error


def block_of(data: Any) -> Block:
    return Block(number=data["number"], hash=data["hash"].to_0x_hex(), time=chain_time(data["timestamp"]))
