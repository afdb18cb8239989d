"""Extended smart contracts whose workflow was lost: what they were, and how each is taken up again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import structlog
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from connectionchain import billing, settlement
from connectionchain.billing import Bill, BillingStart, BillState, Progress
from connectionchain.client.listing import CHAINS, DEADLINE, PARTIES, STATE, search_attributes
from connectionchain.escrow import Terms
from connectionchain.mandate import Mandate
from connectionchain.model import Model
from connectionchain.settlement import TASK_QUEUE, Explanation, SettlementStart

log = structlog.get_logger()

LOST = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT)

T = TypeVar("T", Explanation, Bill)
Start = SettlementStart | BillingStart
_STARTS: dict[str | None, type[Start]] = {settlement.WORKFLOW: SettlementStart, billing.WORKFLOW: BillingStart}


@dataclass(frozen=True)
class Contract:
    """A deal or a mandate as the engine knows it: how its newest run is, and what that was started with."""

    described: WorkflowExecutionDescription
    start: Start

    @property
    def running(self) -> bool:
        return self.described.status is WorkflowExecutionStatus.RUNNING

    @property
    def lost(self) -> bool:
        return self.described.status in LOST

    @property
    def kind(self) -> str:
        return "mandate" if isinstance(self.start, BillingStart) else "deal"

    def number(self, terms: Terms) -> int | None:
        """Which leg of the deal, or entry of the mandate, this is; None for a stranger's, in its name."""
        if isinstance(self.start, BillingStart):
            return number_of(self.start.mandate, terms)
        deal = self.start.deal
        return next((n for n, leg in enumerate(deal.legs) if Terms.of(deal, leg) == terms), None)


def number_of(mandate: Mandate, terms: Terms) -> int | None:
    """Which entry of the mandate this is, by its expiry; None for a stranger's, in its name."""
    number = terms.expiry - int(mandate.expiry.timestamp())
    return number if number >= 0 and mandate.entry(number, terms.amount) == terms else None


class Lost:
    """Looks contracts up in the engine, and starts them again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, deal: str) -> Contract | None:
        """The contract of that id; None if there never was one, or it is no contract."""
        handle = self._client.get_workflow_handle(deal)
        try:
            described = await handle.describe()
            if described.workflow_type not in _STARTS:
                return None
            first = (await anext(handle.fetch_history_events(page_size=1))).workflow_execution_started_event_attributes
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        types = [_STARTS[described.workflow_type]]
        (start,) = await self._client.data_converter.decode(list(first.input.payloads), types)
        assert isinstance(start, SettlementStart | BillingStart)
        return Contract(described, start)

    async def take_up(self, contract: Contract, locked: Iterable[Terms]) -> None:
        """With what its lost workflow knew; what cannot be asked of it is found out from the attestors.
        `locked` are the entries in its name on this chain."""
        if isinstance(contract.start, BillingStart):
            await self._take_up_mandate(contract.described, contract.start, locked)
        else:
            await self._take_up_deal(contract.start)

    async def _take_up_deal(self, start: SettlementStart) -> None:
        known = await self._ask(start.deal.id, Explanation)
        if known:
            start = start.model_copy(update={"certificate": known.certificate, "confirmations": known.confirmations})
        shown = search_attributes(start.deal)
        await self._start(settlement.WORKFLOW, start.deal.id, start, {"deal": start.deal}, shown)

    async def _take_up_mandate(
        self, described: WorkflowExecutionDescription, start: BillingStart, locked: Iterable[Terms]
    ) -> None:
        known = await self._ask(start.mandate.id, Bill)
        progress = progress_again(start.mandate, known.progress if known else start.progress, locked)
        start, memo = start.model_copy(update={"progress": progress}), {"mandate": start.mandate}
        shown = _attributes(described.typed_search_attributes, progress.state)
        await self._start(billing.WORKFLOW, start.mandate.id, start, memo, shown)

    async def _ask(self, deal: str, type_: type[T]) -> T | None:
        """What the lost workflow knew, as far as its history tells."""
        try:
            return type_.model_validate(
                await self._client.get_workflow_handle(deal).query("explain", result_type=type_)
            )
        except (RPCError, WorkflowQueryFailedError) as error:
            log.warning("a lost workflow cannot be asked", deal=deal, error=str(error))
            return None

    async def _start(
        self, workflow: str, deal: str, start: Start, memo: Mapping[str, Model], shown: TypedSearchAttributes
    ) -> None:
        try:
            await self._client.start_workflow(
                workflow,
                start,
                id=deal,
                task_queue=TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                memo=memo,
                search_attributes=shown,
            )
        except WorkflowAlreadyStartedError:
            return  # the node of another chain was faster


def progress_again(mandate: Mandate, known: Progress, locked: Iterable[Terms]) -> Progress:
    """The chain has the last word on what is locked: a lock may have been on its way when the workflow was lost.
    What is due is reckoned anew."""
    amounts = {number_of(mandate, terms): terms.amount for terms in locked}
    entries = known.entries
    while len(entries) in amounts:
        entries = (*entries, amounts[len(entries)])
    waiting = known.state in (BillState.AWAITING_AUTHORIZATION, BillState.LOCKING)
    state = BillState.ACTIVE if entries and waiting else known.state
    return known.model_copy(update={"entries": entries, "state": state, "reckoned": 0})


def _attributes(shown: TypedSearchAttributes, state: BillState) -> TypedSearchAttributes:
    """What the lost run showed of itself, and the state it goes on in."""
    kept = [each for each in shown if each.key in (PARTIES, CHAINS, DEADLINE)]
    return TypedSearchAttributes([SearchAttributePair(STATE, state), *kept])
