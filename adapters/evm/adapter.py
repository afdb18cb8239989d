"""Operating on an EVM chain: price, sign, send and find transactions of one account."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.conversions import to_int
from web3.exceptions import TransactionNotFound, Web3RPCError

from adapters.base import Anchor, Broadcast, Depth, Entry, Happening, Incident, Location, Operation, Plan, Prepared
from adapters.evm.calls import call_forms
from adapters.evm.events import entry_of, kind_of, step_of, terms_of
from adapters.evm.fees import FeePolicy, Fees
from adapters.evm.follower import Follower
from adapters.evm.view import EvmView, block_of
from connectionchain.anchors import ANCHORED, digest
from connectionchain.errors import Rejected, Unavailable
from connectionchain.escrow import Terms
from connectionchain.evidence import Block, Kind, Step
from connectionchain.model import chain_time
from connectionchain.network import Chain
from connectionchain.onchain import LOCKED

GAS_RESERVE = 1.25
"""Gas limit over the estimate: storage may be colder by the time of inclusion."""

RESEND_BLOCKS, SHORTEST_PATIENCE_S = 4, 2.0
"""After so many block times without news a transaction is looked for and sent again."""

LOOK_AGAIN = 50
"""So many times longer for one that is in a block: longer than any finality, because that is what it waits for."""

LOW_FUNDS_OPERATIONS = 50
"""A fee account that cannot pay for so many more operations is running low."""

ANCHORED_WITHIN = 5_000
"""In so many of the last blocks an anchor is looked for before it is made again."""

log = structlog.get_logger()

OnIncident = Callable[[Incident], Awaitable[None]]

_KNOWN = ("already known", "already imported", "known transaction")
_TOO_CHEAP = ("less than block base fee", "lower than the minimum", "transaction underpriced")
_TAKEN = ("nonce too low", "replacement transaction underpriced", "nonce is too low")


@dataclass(frozen=True)
class Market:
    """What transactions cost and what there is to pay for them (wei), when `asked_at` was the newest block."""

    asked_at: str | None
    head: Any
    tip: int
    funds: int


class EvmAdapter(EvmView):
    """A `ChainAdapter`: the connection node's hands. `key` pays the fees and owns nothing else."""

    def __init__(self, chain: Chain, key: LocalAccount, fees: FeePolicy, on_incident: OnIncident) -> None:
        super().__init__(chain)
        self._key, self._fees = key, fees
        self.follower = Follower(self, on_incident)
        self.account = key.address.lower()
        self._known_market: Market | None = None
        self._asking_market = asyncio.Lock()

    @property
    def pause(self) -> timedelta:
        return timedelta(seconds=max(RESEND_BLOCKS * self.config.block_time, SHORTEST_PATIENCE_S))

    @property
    def final(self) -> Block | None:
        return self.follower.final

    async def block(self, depth: Depth) -> Block:
        """The final block is the follower's: asked by all, it need not be fetched for each."""
        if depth == "final" and self.follower.final:
            return self.follower.final
        return await super().block(depth)

    async def entry(self, terms: Terms, depth: Depth) -> Entry:
        """The newest is read in one call, as of a block that is at least the one named."""
        if depth == "latest" and (seen := self.follower.head):
            return await self.entry_at(terms, seen, "latest")
        return await super().entry(terms, depth)

    async def history(self, terms: Terms, leg: int, since: int = 0) -> tuple[Step, ...]:
        last, earliest = (await self.block("final")).number, max(self.config.escrow_block, since)
        logs: list[Any] = []
        while last >= earliest and Kind.LOCKED not in map(kind_of, logs):
            first = max(earliest, last - self.escrow_stride.blocks + 1)
            logs = await self.escrow_logs(first, last, terms.id(self.escrow)) + logs
            last = first - 1
        return tuple([await self._step(each, leg) for each in logs if kind_of(each)])

    async def happenings(self, first: int, last: int) -> AsyncIterator[Sequence[Happening]]:
        async for logs in self.parts(self.escrow.address, [], first, last):
            yield [await self._happening(each) for each in logs if kind_of(each)]

    async def _happening(self, event: Any) -> Happening:
        terms = terms_of(event) if kind_of(event) is Kind.LOCKED else None
        return Happening(entry_of(event), terms, await self._step(event, 0))

    async def locked(self, deal: str) -> tuple[Terms, ...]:
        final = (await self.block("final")).number
        logs = await self.logs(self.escrow.address, [LOCKED, None, deal], self.config.escrow_block, final)
        return tuple([terms_of(each) for each in logs])

    async def anchored(self, checkpoint: str, depth: Depth) -> str | None:
        last = (await self.block(depth)).number
        found = await self.logs(self._anchor(), [ANCHORED, digest(checkpoint)], last - ANCHORED_WITHIN + 1, last)
        return str(found[0]["transactionHash"].to_0x_hex()) if found else None

    async def sequence(self) -> int:
        return int(await self.node.eth("get_transaction_count", self._key.address, "latest"))

    async def plan(self, operation: Operation) -> Plan:
        contract = self._anchor() if isinstance(operation, Anchor) else self.escrow.address
        forms = call_forms(operation, self.escrow)
        try:
            transaction, gas = await self._first_that_works(contract, forms)
        except Rejected:  # as another chain's contract would
            self.node.doubt()
            transaction, gas = await self._first_that_works(contract, forms)
        market = await self._market()
        fees = self._fees.first(market.head, market.tip)
        self._check_funds(market.funds, gas * fees.most)
        content = {
            "to": transaction["to"],
            "data": transaction["data"],
            "value": 0,
            "gas": int(gas * GAS_RESERVE),
            "chainId": int(self.chain.reference),
            "type": 2,
        }
        return Plan(content | fees.fields)

    async def _first_that_works(self, contract: str, forms: Sequence[str]) -> tuple[dict[str, str], int]:
        """The call and its gas. Raises what the likeliest one was rejected for if none works."""
        rejected: list[Rejected] = []
        for data in forms:
            transaction = {"from": self._key.address, "to": to_checksum_address(contract), "data": data}
            try:
                return transaction, await self.node.eth("estimate_gas", transaction)
            except Rejected as why:
                rejected.append(why)
            except Web3RPCError as error:
                raise Unavailable(f"the node does not price the transaction: {error}", field="rpc") from error
        raise rejected[0]

    async def is_too_cheap(self, plan: Plan) -> bool:
        return Fees.of(plan.content).most < int((await self._market()).head.get("baseFeePerGas", 0))

    async def raised(self, plan: Plan) -> Plan | None:
        market = await self._market()
        fees = self._fees.raised(Fees.of(plan.content), market.head, market.tip)
        return Plan(plan.content | fees.fields) if fees else None

    def sign(self, plan: Plan, sequence: int) -> Prepared:
        transaction: dict[str, Any] = {**plan.content, "nonce": sequence}
        signed = self._key.sign_transaction(transaction)
        return Prepared(sequence, signed.hash.to_0x_hex(), bytes(signed.raw_transaction))

    async def broadcast(self, prepared: Prepared) -> Broadcast:
        try:
            await self.node.eth("send_raw_transaction", prepared.raw)
        except Web3RPCError as error:
            message = str(error).lower()
            if any(words in message for words in _KNOWN):
                return Broadcast.KNOWN
            if any(words in message for words in _TAKEN):
                return Broadcast.CONFLICT
            if any(words in message for words in _TOO_CHEAP):
                log.warning("the node wants a higher fee", chain=self.chain, transaction=prepared.transaction)
                return Broadcast.TOO_CHEAP
            raise Unavailable(f"the node refuses the transaction: {error}", field="rpc") from error
        return Broadcast.ACCEPTED

    async def locate(self, transaction: str) -> Location:
        try:
            receipt = await self.node.eth("get_transaction_receipt", transaction)
        except TransactionNotFound:
            return Location.ABSENT
        if receipt["status"] == 1 or receipt["blockNumber"] > (await self.block("final")).number:
            return Location.INCLUDED
        return Location.REVERTED

    async def displaced(self, sequence: int) -> bool:
        final = (await self.block("final")).number
        return int(await self.node.eth("get_transaction_count", self._key.address, final)) > sequence

    @property
    def mark(self) -> int:
        return self.follower.mark

    async def news(self, entries: Sequence[Terms], mark: int, included: int | None = None, silence: float = 1) -> bool:
        ids = [terms.id(self.escrow) for terms in entries]
        longer = 1 if included is None else LOOK_AGAIN
        return await self.follower.news(ids, mark, silence * longer * self.pause.total_seconds(), included)

    def _anchor(self) -> str:
        if self.config.anchor_address is None:
            raise Rejected(f"no contract keeps checkpoints on {self.chain}", field="anchor_address")
        return self.config.anchor_address

    async def _market(self) -> Market:
        """Asked once per block that was followed, for all operations planned on it."""
        async with self._asking_market:
            seen = self.follower.head
            if self._known_market is None or seen is None or seen.hash != self._known_market.asked_at:
                head, tip = await self.head(), await self.node.tip()
                funds = await self.node.eth("get_balance", self._key.address)
                self._known_market = Market(seen.hash if seen else None, head, tip, funds)
            return self._known_market

    def _check_funds(self, funds: int, cost: int) -> None:
        """Says early that the fee account runs low, while there is still time to fill it."""
        if funds < cost * LOW_FUNDS_OPERATIONS:
            log.warning("fee account runs low", chain=self.chain, account=self.account, wei=funds, next_costs=cost)

    async def _step(self, event: Any, leg: int) -> Step:
        """Most nodes tell the block's time along with the event."""
        number, hash_ = event["blockNumber"], event["blockHash"].to_0x_hex()
        if told := event.get("blockTimestamp"):
            block = Block(number=number, hash=hash_, time=chain_time(to_int(hexstr=told)))
        else:
            block = block_of(await self.node.eth("get_block", hash_))
        return step_of(event, self.chain, block, leg)
