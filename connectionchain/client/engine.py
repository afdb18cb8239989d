"""The workflow engine as a client of deals needs it: workflows and activities by name only."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Self

from temporalio.client import Client as Temporal
from temporalio.client import PayloadLimitsConfig, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import WorkflowAlreadyStartedError

from connectionchain import reconciliation
from connectionchain.client.failures import translated
from connectionchain.client.listing import DealSummary, memo_deal, search_attributes, summary_of
from connectionchain.deal import Deal
from connectionchain.errors import Unavailable, UnknownName
from connectionchain.ids import ChainId
from connectionchain.model import Model
from connectionchain.network import Engine as Address
from connectionchain.reconciliation import ReconciliationReport
from connectionchain.settlement import TASK_QUEUE, WORKFLOW, Explanation, SettlementStart

CONNECT_TIMEOUT = timedelta(seconds=10)
ACTIVITY_TIMEOUT = timedelta(seconds=20)
LARGEST_MEMO = 16_384  # a deal of 16 legs; the default warns of 2,048 bytes


class Engine:
    """A connection to the engine. Every method raises Unavailable if the engine or its workers do not answer."""

    def __init__(self, temporal: Temporal) -> None:
        self.temporal = temporal

    @classmethod
    async def connect(cls, to: Address) -> Self:
        """Address and namespace are the network file's; TLS and API key come from Temporal's own configuration
        (TEMPORAL_TLS_*, TEMPORAL_API_KEY, TEMPORAL_PROFILE)."""
        profile: dict[str, Any] = {**ClientConfig.load_client_connect_config()}
        profile |= {"target_host": to.address, "namespace": to.namespace}
        try:
            temporal = await Temporal.connect(
                **profile,
                data_converter=pydantic_data_converter,
                connect_timeout=CONNECT_TIMEOUT,
                payload_limits=PayloadLimitsConfig(memo_warn_size=LARGEST_MEMO),
            )
        except RuntimeError:
            raise Unavailable(
                f"no workflow engine answers at {to.address}",
                field="engine.address",
                remedy="start it (`make up`), or correct the network file; `evidence show` and `reclaim` need none",
            ) from None
        return cls(temporal)

    async def start(self, start: SettlementStart, summary: str, details: str = "") -> None:
        """Idempotent: a deal that was started before, even one that has ended, is left as it is."""
        deal = start.deal
        try:
            async with translated():
                await self.temporal.start_workflow(
                    WORKFLOW,
                    start,
                    id=deal.id,
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    memo={"deal": deal},
                    search_attributes=search_attributes(deal),
                    static_summary=summary,
                    static_details=details or None,
                )
        except WorkflowAlreadyStartedError:
            return
        except Unavailable as error:
            raise Unavailable(
                f"whether deal {deal.id} was started is not known: {error.message}",
                field="engine",
                remedy="see `connectionchain deals show`, before you pay again",
            ) from None

    async def knows(self, deal: str) -> bool:
        try:
            async with translated(deal):
                await self.temporal.get_workflow_handle(deal).describe()
        except UnknownName:
            return False
        return True

    async def update(self, deal: str, name: str, message: Model) -> Explanation:
        async with translated(deal):
            handle = self.temporal.get_workflow_handle(deal)
            return Explanation.model_validate(await handle.execute_update(name, message, result_type=Explanation))

    async def explain(self, deal: str) -> Explanation:
        """From the workflow while it runs, from its result afterwards (which needs no worker)."""
        async with translated(deal):
            handle = self.temporal.get_workflow_handle(deal, result_type=Explanation)
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                return Explanation.model_validate(await handle.query("explain", result_type=Explanation))
            return Explanation.model_validate(await handle.result())

    async def result(self, deal: str, timeout: float | None) -> Explanation:
        async with translated(deal, timeout):
            handle = self.temporal.get_workflow_handle(deal, result_type=Explanation)
            return Explanation.model_validate(await handle.result())

    async def deal(self, deal: str) -> Deal:
        """The deal by its id: read from the workflow's memo, and checked to hash to that id."""
        async with translated(deal):
            found = await memo_deal(await self.temporal.get_workflow_handle(deal).describe())
        if found is None:
            raise UnknownName(f"{deal} shows no deal of that id", field="deal", remedy="pass the deal itself as a file")
        return found

    async def deals(self, query: str, limit: int) -> list[DealSummary]:
        async with translated():
            return [each async for each in self._deals(query, limit)]

    async def _deals(self, query: str, limit: int) -> AsyncIterator[DealSummary]:
        async for execution in self.temporal.list_workflows(query, limit=limit):
            if found := await summary_of(execution):
                yield found

    async def reconcile(self, chains: list[ChainId]) -> ReconciliationReport:
        """One reconciliation at a time: asked twice, both get the same report."""
        async with translated(patience=None):
            handle = await self.temporal.start_workflow(
                reconciliation.WORKFLOW,
                chains,
                id="reconciliation-on-demand",
                task_queue=TASK_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                result_type=ReconciliationReport,
            )
            return ReconciliationReport.model_validate(await handle.result())

    async def ask(self, queue: str, activity: str, *message: Model, result: Any) -> Any:
        """What a standalone activity (one without a workflow) answers."""
        async with translated():
            return await self.temporal.execute_activity(
                activity,
                args=message,
                id=f"{activity}-{secrets.token_hex(8)}",
                task_queue=queue,
                result_type=result,
                schedule_to_close_timeout=ACTIVITY_TIMEOUT,
            )
