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

from connectionchain import billing, reconciliation, settlement
from connectionchain.billing import BillingStart
from connectionchain.client.failures import translated
from connectionchain.client.listing import DealSummary, left, search_attributes, summary_of
from connectionchain.deal import Deal
from connectionchain.errors import Unavailable, UnknownName
from connectionchain.ids import ChainId
from connectionchain.mandate import Agreement, Mandate, kind_of
from connectionchain.model import Model
from connectionchain.network import Engine as Address
from connectionchain.reconciliation import ReconciliationReport
from connectionchain.settlement import TASK_QUEUE, Explanation, SettlementStart

CONNECT_TIMEOUT = timedelta(seconds=10)
ACTIVITY_TIMEOUT = timedelta(seconds=20)
_SHOWN = {"deal": "deals", "mandate": "bills"}
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

    async def start(self, start: SettlementStart | BillingStart, summary: str, details: str = "") -> None:
        """Idempotent: what was started before, even what has ended, is left as it is."""
        workflow, deal = _what(start)
        name = kind_of(deal)
        try:
            async with translated():
                await self.temporal.start_workflow(
                    workflow,
                    start,
                    id=deal.id,
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    memo={name: deal},
                    search_attributes=search_attributes(deal),
                    static_summary=summary,
                    static_details=details or None,
                )
        except WorkflowAlreadyStartedError:
            return
        except Unavailable as error:
            raise Unavailable(
                f"whether {name} {deal.id} was started is not known: {error.message}",
                field="engine",
                remedy=f"see `connectionchain {_SHOWN[name]} show`, before you pay again",
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

    async def agreement(self, id_: str) -> Agreement:
        """The deal or mandate of this id: read from the workflow's memo, and checked to hash to that id."""
        async with translated(id_):
            found = await left(await self.temporal.get_workflow_handle(id_).describe())
        if found is None:
            raise UnknownName(f"{id_} shows no deal or mandate of that id", field="deal", remedy="pass it as a file")
        return found

    async def deal(self, deal: str) -> Deal:
        found = await self.agreement(deal)
        if isinstance(found, Deal):
            return found
        raise UnknownName(f"{deal} is a mandate", field="deal", remedy="see `connectionchain bills`")

    async def mandate(self, mandate: str) -> Mandate:
        found = await self.agreement(mandate)
        if isinstance(found, Mandate):
            return found
        raise UnknownName(f"{mandate} is a deal", field="mandate", remedy="see `connectionchain deals`")

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


def _what(start: SettlementStart | BillingStart) -> tuple[str, Agreement]:
    if isinstance(start, SettlementStart):
        return settlement.WORKFLOW, start.deal
    return billing.WORKFLOW, start.mandate
