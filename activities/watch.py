"""Follows the events of one chain for every subscriber: one look at the logs for each range of final blocks."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.heart import beating
from adapters.base import ChainAdapter
from connectionchain.errors import ConnectionChainError
from connectionchain.events import EventFilter, Observation, Position
from connectionchain.evidence import Block
from connectionchain.mandate import Mandate
from connectionchain.sieve import Match
from ledger import usage
from ledger.database import Database
from ledger.subscriptions import Subscription, Subscriptions, advance, move

MOST_FOLLOWED = 10_000
"""Subscriptions in one look, because a statement takes only so many values; the others are behind for the next one."""

MOST_EVENTS_TOLD = 100
"""In one signal."""

SIGNALS_AT_ONCE = 20
POLL_S, PAUSE_AFTER_FAILURE_S = 0.1, 1.0
log = structlog.get_logger()


@dataclass(frozen=True)
class Wanted:
    """What never changes of a subscription."""

    filter: EventFilter
    mandate: Mandate | None


class Watcher:
    """Reads final blocks only, so that no reorganisation takes back what it told. What it cannot finish it does again:
    bills and subscribers pass over what they have had."""

    def __init__(self, chain: ChainAdapter, database: Database, client: Client) -> None:
        self._chain, self._database, self._client = chain, database, client
        self._subscriptions = Subscriptions(database)
        self._wanted: dict[int, Wanted] = {}
        self._signals = asyncio.Semaphore(SIGNALS_AT_ONCE)
        self._next_block = 0

    @activity.defn
    async def watch(self) -> None:
        """As long as its worker lives; another one goes on from where it came to."""
        async with beating(lambda: self._next_block):
            while not activity.is_worker_shutdown():
                pause = await self._poll_safely()
                with suppress(TimeoutError):
                    await asyncio.wait_for(activity.wait_for_worker_shutdown(), pause)

    async def _poll_safely(self) -> float:
        """Seconds to wait before the next poll."""
        try:
            return 0 if await self.poll() else POLL_S
        except ConnectionChainError as error:
            log.warning("cannot watch", chain=self._chain.chain, error=str(error))
        except Exception:
            log.exception("watch failed", chain=self._chain.chain)
        return PAUSE_AFTER_FAILURE_S

    async def poll(self) -> bool:
        """One look ahead for those who are at the front, one for those who are behind. Whether there was anything."""
        final = self._chain.final
        waiting = await self._subscriptions.waiting(self._chain.chain, final.number) if final else {}
        if not final or not waiting:
            return False
        if len(self._wanted) > len(waiting) + MOST_FOLLOWED:  # most of them have ended
            self._wanted = {id_: known for id_, known in self._wanted.items() if id_ in waiting}
        front = max(waiting.values())
        behind = {id_: block for id_, block in waiting.items() if block < front}
        for group in filter(None, (waiting.keys() - behind.keys(), behind.keys())):
            ids = sorted(group)[:MOST_FOLLOWED]
            await self._follow(ids, min(waiting[id_] for id_ in ids), final)
        return True

    async def _follow(self, ids: Sequence[int], first: int, final: Block) -> None:
        """Bills first, then tells, then remembers how far it came: each can be done twice."""
        await self._learn(ids)
        look = await self._chain.events([self._wanted[id_].filter for id_ in ids], first, final.number)
        matches = {id_: new for id_, new in zip(ids, look.found, strict=True) if new}
        rows = {row.id: row for row in await self._subscriptions.rows(list(matches)) if row.id}
        async with self._database.write() as session:
            for id_, new in matches.items():
                if mandate := self._wanted[id_].mandate:
                    rows[id_] = await usage.append(session, id_, mandate, new)
        await asyncio.gather(*(self._tell(row, matches[id_]) for id_, row in rows.items()))
        async with self._database.write() as session:
            for row in rows.values():
                await move(session, row)
            await advance(session, ids, look.last + 1, final.time if look.last == final.number else None)
        self._next_block = look.last + 1

    async def _learn(self, ids: Iterable[int]) -> None:
        unknown = [id_ for id_ in ids if id_ not in self._wanted]
        for row in await self._subscriptions.rows(unknown) if unknown else []:
            assert row.id is not None
            mandate = Mandate.model_validate(row.mandate) if row.mandate else None
            self._wanted[row.id] = Wanted(EventFilter.model_validate(row.filter), mandate)

    async def _tell(self, row: Subscription, matches: Sequence[Match]) -> None:
        """Signals what is new; `row` moves along. A bill has moved already, and is told of as a whole."""
        if row.mandate:
            return await self._signal(row, ())
        new = [match for match in matches if match.at > row.at]
        size = MOST_EVENTS_TOLD if row.detailed else len(new) or 1
        for start in range(0, len(new), size):
            batch = new[start : start + size]
            row.count += len(batch)
            row.block, row.log_index = batch[-1].at
            await self._signal(row, batch if row.detailed else ())

    async def _signal(self, row: Subscription, matches: Sequence[Match]) -> None:
        observation = Observation(
            filter=row.filter_id,
            at=Position(block=row.block, log_index=row.log_index),
            count=row.count,
            total=row.total,
            events=tuple(match.event for match in matches),
        )
        async with self._signals:
            try:
                await self._client.get_workflow_handle(row.subscriber).signal("observed", observation)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await self._subscriptions.unsubscribe(row.subscriber)  # it has ended
