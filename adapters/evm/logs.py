"""Logs of any contract, asked for in one call for many filters at once."""

from collections.abc import Sequence
from typing import Any

from web3.exceptions import Web3RPCError

from adapters.evm.pool import Pool
from connectionchain.errors import Unavailable
from connectionchain.events import EventFilter
from connectionchain.sieve import Log

MOST_VALUES = 100
"""Of one indexed field in one query; beyond that every event of the type is asked for."""


async def logs(node: Pool, filters: Sequence[EventFilter], first: int, last: int) -> list[Log]:
    """Everything in blocks `first` to `last` that one of these filters could mean. Raises Unavailable."""
    if not filters or first > last:
        return []
    where = {"address": sorted({each.contract for each in filters}), "topics": topics(filters)}
    raw = await _fetch(node, where, first, last)
    times = await _times(node, raw)
    return [_log(each, times) for each in raw]


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


async def _fetch(node: Pool, where: dict[str, Any], first: int, last: int) -> list[dict[str, Any]]:
    """A node that finds the range too long is asked for its halves."""
    try:
        return list(await node.raw("eth_getLogs", where | {"fromBlock": hex(first), "toBlock": hex(last)}))
    except Web3RPCError as error:
        if first == last:
            raise Unavailable(f"the node refuses the logs of block {first}: {error}", field="rpc") from error
    middle = (first + last) // 2
    return await _fetch(node, where, first, middle) + await _fetch(node, where, middle + 1, last)


async def _times(node: Pool, raw: list[dict[str, Any]]) -> dict[str, int]:
    """Unix seconds by block hash. Most nodes tell them along with the logs."""
    times = {each["blockHash"]: int(each["blockTimestamp"], 16) for each in raw if each.get("blockTimestamp")}
    for hash_ in {each["blockHash"] for each in raw} - times.keys():
        block = await node.raw("eth_getBlockByHash", hash_, False)
        if not block:
            raise Unavailable(f"the node does not know block {hash_} any more", field="rpc")
        times[hash_] = int(block["timestamp"], 16)
    return times


def _log(raw: dict[str, Any], times: dict[str, int]) -> Log:
    return Log(
        contract=raw["address"].lower(),
        topics=tuple(topic.lower() for topic in raw["topics"]),
        data=raw["data"].lower(),
        block=int(raw["blockNumber"], 16),
        log_index=int(raw["logIndex"], 16),
        block_hash=raw["blockHash"],
        transaction=raw["transactionHash"],
        time=times[raw["blockHash"]],
    )
