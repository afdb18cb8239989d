"""The chain watch: one workflow for each chain, which holds the activity that follows its events."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.orders import node_queue
    from activities.watch import Watcher
    from connectionchain.ids import ChainId

HEARTBEAT = timedelta(seconds=10)
YEARS = timedelta(days=3650)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=1)


def watch_id(chain: ChainId) -> str:
    return f"watch.{chain}"


@workflow.defn
class ChainWatch:
    """Runs as long as the chain is served. Where it is, is in the database: a lost worker's place is taken there."""

    @workflow.run
    async def run(self, chain: ChainId) -> None:
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.execute_activity_method(
                Watcher.watch,
                task_queue=node_queue(chain),
                start_to_close_timeout=YEARS,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=RETRY,
                summary=f"follow the events of {chain}",
            )
        workflow.continue_as_new(chain)
