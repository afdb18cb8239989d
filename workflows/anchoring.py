"""Anchoring: the evidence log's newest checkpoint is posted to every chain. Scheduled."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.anchoring import Anchorer
    from activities.orders import node_queue
    from connectionchain.ids import ChainId
    from workflows.kit import LEDGER_ATTEMPT, LEDGER_HEARTBEAT, LEDGER_RETRY, all_ended

SCHEDULE = "anchoring"
GIVE_UP = timedelta(hours=1)
"""The next checkpoint says all that this one does."""


@workflow.defn
class Anchoring:
    """All chains at once; one that does not answer holds up no other."""

    @workflow.run
    async def run(self, chains: list[ChainId]) -> list[str]:
        """The transactions, by chain; "" where there was nothing to anchor."""
        return await all_ended(self.anchor(chain) for chain in chains)

    async def anchor(self, chain: ChainId) -> str:
        checkpoint = await workflow.execute_activity_method(
            Anchorer.newest_checkpoint,
            task_queue=node_queue(chain),
            start_to_close_timeout=timedelta(minutes=1),
            schedule_to_close_timeout=GIVE_UP,
            retry_policy=LEDGER_RETRY,
            summary="read the newest checkpoint",
        )
        if not checkpoint:
            return ""
        return await workflow.execute_activity_method(
            Anchorer.anchor,
            checkpoint,
            task_queue=node_queue(chain),
            start_to_close_timeout=LEDGER_ATTEMPT,
            schedule_to_close_timeout=GIVE_UP,
            heartbeat_timeout=LEDGER_HEARTBEAT,
            retry_policy=LEDGER_RETRY,
            summary=f"anchor it on {chain}",
        )
