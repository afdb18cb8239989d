"""Logs of any contract, asked for in one call for many filters at once, in as many blocks as the node bears."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from web3.exceptions import Web3RPCError

from adapters.evm.pool import Pool
from connectionchain.errors import Unavailable
from connectionchain.events import EventFilter
from connectionchain.sieve import Log, Sieve

MOST_VALUES = 100
"""Of one indexed field in one query; beyond that every event of the type is asked for."""

FIRST_STRIDE, LONGEST_STRIDE = 500, 10_000
FEW = 100
QUICK_S, SLOW_S = 0.5, 2.0
MANY_LOGS = 10_000
"""So many in one answer are too many: this many times a kilobyte is what a look at the chain may take of memory."""


Ask = Callable[[int, int], Awaitable[list[Any]]]
"""Asks a node for some contract's logs, from the first to the last of these blocks."""


@dataclass
class Stride:
    """How many blocks one query spans: half as many once that was refused, slow or too much, more while it is quick.
    Not less than `fewest` for being slow: it may be slow for another reason, and for many at once."""

    blocks: int = FIRST_STRIDE
    fewest: int = 1

    def refused(self, asked: int) -> None:
        self.blocks = max(1, asked // 2)

    def shorten(self, asked: int) -> None:
        self.blocks = min(self.blocks, max(self.fewest, asked // 2))

    def fail(self, asked: int, seconds: float) -> None:
        """Without a word of how many would do: few blocks are hardly to blame, if it was quick."""
        if seconds > SLOW_S or asked > FEW:
            self.shorten(asked)

    def learn(self, asked: int, seconds: float, logs: int) -> None:
        if seconds > SLOW_S or logs > MANY_LOGS:
            self.shorten(asked)
        elif asked == self.blocks and seconds < QUICK_S and logs < MANY_LOGS // 2:
            self.blocks = min(LONGEST_STRIDE, self.blocks + self.blocks // 4 + 1)


class Query:
    """What many filters ask a node for, and how its answer is sorted."""

    def __init__(self, filters: Sequence[EventFilter]) -> None:
        self.filters, self.sieve = tuple(filters), Sieve(filters)
        self._where = {"address": sorted({each.contract for each in filters}), "topics": topics(filters)}

    async def logs(self, node: Pool, first: int, last: int, stride: Stride) -> tuple[list[Log], int]:
        """Everything from block `first` on that one of these filters could mean, and the block it goes up to: `last`
        or an earlier one. Raises Unavailable."""

        async def ask(first: int, last: int) -> list[dict[str, Any]]:
            query = self._where | {"fromBlock": hex(first), "toBlock": hex(last)}
            found: list[dict[str, Any]] = await node.raw("eth_getLogs", query, having=last)
            return found

        raw, reached = await begun(ask, first, last, stride)
        times = await _times(node, raw)
        return [_log(each, times) for each in raw], reached


async def begun(ask: Ask, first: int, last: int, stride: Stride) -> tuple[list[Any], int]:
    """The logs from block `first` on, and the block they go up to: `last` or an earlier one. Raises Unavailable."""
    while True:
        reached, asked = min(last, first + stride.blocks - 1), time.monotonic()
        blocks = reached - first + 1
        try:
            found = await ask(first, reached)
        except Web3RPCError as error:
            if blocks == 1:
                raise Unavailable(f"the node refuses the logs of block {first}: {error}", field="rpc") from error
            stride.refused(blocks)
        except Unavailable:  # perhaps it took too long
            stride.fail(blocks, time.monotonic() - asked)
            raise
        else:
            stride.learn(blocks, time.monotonic() - asked, len(found))
            return found, reached


async def in_parts(ask: Ask, first: int, last: int, stride: Stride) -> AsyncIterator[list[Any]]:
    """The logs of all these blocks, by as many queries as it takes. Raises Unavailable."""
    while first <= last:
        found, reached = await begun(ask, first, last, stride)
        yield found
        first = reached + 1


def topics(filters: Sequence[EventFilter]) -> list[list[str] | None]:
    """The types; and the values of the indexed fields, where all filters are of one type and each wants a value."""
    filters = [*filters, *filter(None, (each.companion for each in filters))]
    each_topics = [each.topics() for each in filters]
    types = sorted({each[0] for each in each_topics if each[0]})
    if len({(each.contract, each.event) for each in filters}) > 1:
        return [types]
    values = [set(column) for column in zip(*each_topics, strict=True)][1:]
    chosen = [None if None in each or len(each) > MOST_VALUES else sorted(filter(None, each)) for each in values]
    while chosen and chosen[-1] is None:
        chosen.pop()
    return [types, *chosen]


async def _times(node: Pool, raw: list[dict[str, Any]]) -> dict[str, int]:
    """Unix seconds by block hash. Most nodes tell them along with the logs."""
    told = {each["blockHash"]: each.get("blockTimestamp") for each in raw}
    times = {hash_: int(time, 16) for hash_, time in told.items() if time}
    for hash_ in told.keys() - times.keys():
        block = await node.raw("eth_getBlockByHash", hash_, False)
        if not block:
            raise Unavailable(f"the node does not know block {hash_} any more", field="rpc")
        times[hash_] = int(block["timestamp"], 16)
    return times


def _log(raw: dict[str, Any], times: dict[str, int]) -> Log:
    return Log(
        contract=raw["address"].lower(),
        topics=tuple([topic.lower() for topic in raw["topics"]]),
        data=raw["data"].lower(),
        block=int(raw["blockNumber"], 16),
        log_index=int(raw["logIndex"], 16),
        block_hash=raw["blockHash"],
        transaction=raw["transactionHash"],
        time=times[raw["blockHash"]],
    )
