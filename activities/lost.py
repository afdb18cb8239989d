"""Extended smart contracts whose workflow was lost: what they were, and how each is taken up again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from connectionchain.ids import ChainId
from connectionchain.mandate import Mandate, number_of
from connectionchain.model import Model
from connectionchain.settlement import TASK_QUEUE, Explanation, SettlementStart

log = structlog.get_logger()

LOST = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT)

T = TypeVar("T", Explanation, Bill)
Start = SettlementStart | BillingStart
Locked = Callable[[], Awaitable[Sequence[Terms]]]
_STARTS: dict[str | None, type[Start]] = {settlement.WORKFLOW: SettlementStart, billing.WORKFLOW: BillingStart}


@dataclass(frozen=True)
class Contract:
    """A deal or a mandate as the engine knows it: how its newest run is, and what that was started with."""

    described: WorkflowExecutionDescription
    start: Start
    progress: Progress | None = None
    """Of a mandate that does not run: what it came to, or will go on from."""

    @property
    def running(self) -> bool:
        return self.described.status is WorkflowExecutionStatus.RUNNING

    @property
    def lost(self) -> bool:
        return self.described.status in LOST

    @property
    def kind(self) -> str:
        return "mandate" if isinstance(self.start, BillingStart) else "deal"

    def number(self, chain: ChainId, terms: Terms) -> int | None:
        """Which leg of the deal, or lock of the mandate, this entry on `chain` is; None for one that only bears its
        name. A consumer can always lock more: what his mandate never counted as a top-up is none."""
        if isinstance(self.start, SettlementStart):
            return number_of(self.start.deal, chain, terms)
        number = number_of(self.start.mandate, chain, terms)
        counted = self.progress.entries if self.progress else ()
        return number if number == 0 or (number and counted[number : number + 1] == (terms.amount,)) else None


class Lost:
    """Looks contracts up in the engine, and starts them again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, deal: str, chain: ChainId, locked: Locked) -> Contract | None:
        """The contract of that id; None if there never was one, or it is no contract. `locked` asks `chain` for the
        entries in its name."""
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
        contract = Contract(described, start)
        if isinstance(start, BillingStart) and not contract.running:
            progress = await self._progress(contract, start, chain, locked)
            return replace(contract, progress=progress)
        return contract

    async def _progress(self, contract: Contract, start: BillingStart, chain: ChainId, locked: Locked) -> Progress:
        if contract.described.status is WorkflowExecutionStatus.COMPLETED:
            handle = self._client.get_workflow_handle(start.mandate.id, result_type=Bill)
            return Bill.model_validate(await handle.result()).progress
        known = await self._ask(start.mandate.id, Bill)
        here = await locked() if chain == start.mandate.chain else ()
        return progress_again(start.mandate, known.progress if known else start.progress, here)

    async def take_up(self, contract: Contract) -> None:
        """With what its lost workflow knew; what cannot be asked of it is found out from the attestors."""
        if isinstance(contract.start, BillingStart):
            await self._take_up_mandate(contract, contract.start)
        else:
            await self._take_up_deal(contract.start)

    async def _take_up_deal(self, start: SettlementStart) -> None:
        known = await self._ask(start.deal.id, Explanation)
        if known:
            start = start.model_copy(update={"certificate": known.certificate, "confirmations": known.confirmations})
        shown = search_attributes(start.deal)
        await self._start(settlement.WORKFLOW, start.deal.id, start, {"deal": start.deal}, shown)

    async def _take_up_mandate(self, contract: Contract, start: BillingStart) -> None:
        progress = contract.progress or start.progress
        start, memo = start.model_copy(update={"progress": progress}), {"mandate": start.mandate}
        shown = _attributes(contract.described.typed_search_attributes, progress.state)
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


def progress_again(mandate: Mandate, known: Progress, locked: Sequence[Terms]) -> Progress:
    """The chain has the last word on what is locked: a lock may have been on its way when the workflow was lost.
    What is due is reckoned anew."""
    amounts = {mandate.number(terms): terms.amount for terms in reversed(locked)}  # the first of each number counts
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
