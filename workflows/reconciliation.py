"""Reconciliation: compare chains, evidence and workflows; put right what is safe; report the rest. Scheduled."""

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.orders import node_queue
    from activities.reconciler import Reconciler
    from connectionchain.ids import ChainId
    from connectionchain.reconciliation import WORKFLOW, ReconciliationReport
    from workflows.kit import LEDGER_ATTEMPT, LEDGER_HEARTBEAT, LEDGER_RETRY


@workflow.defn(name=WORKFLOW)
class Reconciliation:
    """All chains at once. If it is not `thorough`, what was compared before is not compared again."""

    @workflow.run
    async def run(self, chains: list[ChainId], thorough: bool = True) -> ReconciliationReport:
        reports = await asyncio.gather(*(self.compare(chain, thorough) for chain in chains))
        return ReconciliationReport(
            compared=sum(each.compared for each in reports),
            findings=tuple(finding for each in reports for finding in each.findings),
        )

    async def compare(self, chain: ChainId, thorough: bool) -> ReconciliationReport:
        return await workflow.execute_activity_method(
            Reconciler.reconcile,
            thorough,
            task_queue=node_queue(chain),
            start_to_close_timeout=LEDGER_ATTEMPT,
            schedule_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=LEDGER_HEARTBEAT,
            retry_policy=LEDGER_RETRY,
            summary=f"compare {chain}",
        )
