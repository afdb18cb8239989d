"""Following events on any chain, for extended smart contracts: ask once, then take what the chain watch tells."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeper import Bookkeeper
    from activities.orders import SubscribeOrder, node_queue
    from connectionchain.events import ChainEvent, EventFilter, Observation, Position
    from connectionchain.ids import ChainId
    from connectionchain.mandate import Mandate
    from workflows.kit import ATTEST_ATTEMPT, ATTEST_RETRY


FAREWELL = timedelta(seconds=10)


async def follow(wanted: EventFilter, mandate: Mandate | None = None, detailed: bool = False) -> None:
    """From now on this workflow's signal `observed` tells of these events: how many, and with `detailed` what they say.
    Those of a mandate go on its bill; ActivityError if its chain's node does not answer before the mandate's end."""
    left = max(mandate.end - workflow.now(), ATTEST_ATTEMPT) if mandate else None
    await workflow.execute_activity_method(
        Bookkeeper.subscribe,
        SubscribeOrder(subscriber=workflow.info().workflow_id, filter=wanted, mandate=mandate, detailed=detailed),
        task_queue=node_queue(wanted.chain),
        start_to_close_timeout=ATTEST_ATTEMPT,
        schedule_to_close_timeout=left,
        retry_policy=ATTEST_RETRY,
        summary=f"follow {wanted.abi.name} on {wanted.chain}",
    )


async def unfollow(chains: Iterable[ChainId]) -> None:
    """No more is told. If the node does not answer, the watch finds out that nobody is there any more."""
    await asyncio.gather(*(_unfollow(chain) for chain in dict.fromkeys(chains)))


async def _unfollow(chain: ChainId) -> None:
    with suppress(ActivityError):
        await workflow.execute_activity_method(
            Bookkeeper.unsubscribe,
            workflow.info().workflow_id,
            task_queue=node_queue(chain),
            start_to_close_timeout=FAREWELL,
            schedule_to_close_timeout=FAREWELL,
            retry_policy=ATTEST_RETRY,
            summary=f"follow nothing more on {chain}",
        )


class Inbox:
    """What was observed so far, each event once: how many by filter (`counts`), and how far (`at`)."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.at: dict[str, Position] = {}

    def take(self, told: Observation) -> tuple[ChainEvent, ...]:
        """The events that are new; none if it was told before."""
        had = self.at.get(told.filter)
        if had and not had < told.at:
            return ()
        self.at[told.filter], self.counts[told.filter] = told.at, told.count
        return tuple(event for event in told.events if had is None or had < event.at)
