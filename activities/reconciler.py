"""Compares one chain's escrow with the evidence and the workflow engine, and puts right what it safely can."""

from collections.abc import Sequence

import structlog
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.driver import Driver
from activities.failures import typed_failures
from activities.node import BACK
from adapters.base import ChainAdapter, Reclaim, Surveyed
from connectionchain.client.listing import search_attributes
from connectionchain.deal import Deal
from connectionchain.escrow import EscrowContract, Terms
from connectionchain.evidence import EvidenceRecord, Kind, Step
from connectionchain.reconciliation import Finding, Problem, ReconciliationReport
from connectionchain.settlement import TASK_QUEUE, WORKFLOW, Explanation, SettlementStart
from ledger import evidence
from ledger.database import Database

log = structlog.get_logger()

LOST = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT)


class Reconciler:
    """Of one chain. It moves assets only by what anybody may do: restart a deal, reclaim after expiry."""

    def __init__(
        self, chain: ChainAdapter, escrow: EscrowContract, driver: Driver, database: Database, client: Client
    ) -> None:
        self._chain, self._escrow, self._driver = chain, escrow, driver
        self._database, self._client = database, client

    @activity.defn
    @typed_failures
    async def reconcile(self) -> ReconciliationReport:
        """Raises Unavailable if the chain does not answer."""
        entries = await self._chain.survey()
        async with self._database.read() as session:
            recorded = [each async for each in evidence.of_chain(session, self._chain.chain)]
        found = self._unfounded(entries, recorded)
        known = {_event(each.step) for each in recorded}
        for entry in entries:
            activity.heartbeat(entry.entry)
            found += await self._look_at(entry, known)
        return ReconciliationReport(compared=len(entries), findings=tuple(found))

    def _unfounded(self, entries: Sequence[Surveyed], recorded: Sequence[EvidenceRecord]) -> list[Finding]:
        on_chain = {(*_event(step), step.block.hash) for entry in entries for step in entry.steps}
        return [
            self._finding(Problem.UNFOUNDED, each.deal, each.escrow_id, f"{each.step.kind} in {each.step.transaction}")
            for each in recorded
            if each.step.kind not in (Kind.CANCELLED, Kind.DISPLACED)
            and (*_event(each.step), each.step.block.hash) not in on_chain
        ]

    async def _look_at(self, entry: Surveyed, known: set[tuple[str, int]]) -> list[Finding]:
        unrecorded = [step for step in entry.steps if _event(step) not in known]
        is_open = entry.steps[-1].kind in (Kind.LOCKED, Kind.METERED)
        if not (unrecorded or is_open):
            return []
        status, start = await self._workflow(entry.terms.deal)
        if status is WorkflowExecutionStatus.RUNNING:
            return []  # it looks after itself
        found = [await self._record(entry, step, start.deal if start else None) for step in unrecorded]
        if is_open:
            found.append(await self._take_care_of(entry, start if status in LOST else None))
        return found

    async def _record(self, entry: Surveyed, step: Step, deal: Deal | None) -> Finding:
        legs = [n for n, leg in enumerate(deal.legs) if Terms.of(deal, leg) == entry.terms] if deal else []
        done = ""
        if deal and legs:
            record = EvidenceRecord(
                deal=deal.id,
                escrow_id=entry.entry,
                step=step.model_copy(update={"leg": legs[0]}),
                token=deal.legs[legs[0]].token,
                amount=entry.terms.amount,
            )
            async with self._database.write() as session:
                await evidence.append(session, record)
            done = "recorded"
        detail = f"{step.kind} in {step.transaction}" + ("" if done else ", of a deal that was never started here")
        return self._finding(Problem.UNRECORDED, entry.terms.deal, entry.entry, detail, done)

    async def _take_care_of(self, entry: Surveyed, start: SettlementStart | None) -> Finding:
        """Past expiry anybody may give it back to its payer; before, its deal is taken up again if it is known."""
        deal = entry.terms.deal
        if (await self._chain.block("latest")).time.timestamp() >= entry.terms.expiry:
            await self._driver.drive(f"{deal}/{entry.entry}/reclaim", Reclaim(entry.terms), [entry.terms], BACK)
            return self._finding(Problem.ABANDONED, deal, entry.entry, "expired", "reclaimed for its payer")
        if start is None:
            detail = "no lost deal of this id is known here: it can be reclaimed from its expiry on"
            return self._finding(Problem.ABANDONED, deal, entry.entry, detail)
        await self._restart(start)
        return self._finding(Problem.ABANDONED, deal, entry.entry, "its workflow was lost", "deal taken up again")

    async def _workflow(self, deal: str) -> tuple[WorkflowExecutionStatus | None, SettlementStart | None]:
        """The status of the workflow of that id and, if it is a deal's, what it was started with; None, None if there
        never was one."""
        handle = self._client.get_workflow_handle(deal)
        try:
            described = await handle.describe()
            if described.workflow_type != WORKFLOW:
                return described.status, None
            first = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None, None
            raise
        (start,) = await self._client.data_converter.decode(list(first.input.payloads), [SettlementStart])
        assert isinstance(start, SettlementStart)
        return described.status, start

    async def _restart(self, start: SettlementStart) -> None:
        """With what its lost workflow knew, above all the decision if there was one. Without it the deal finds out
        from the attestors."""
        again = start
        try:
            known = await self._client.get_workflow_handle(start.deal.id).query("explain", result_type=Explanation)
            again = start.model_copy(update={"certificate": known.certificate, "confirmations": known.confirmations})
        except (RPCError, WorkflowQueryFailedError) as error:
            log.warning("a lost workflow cannot be asked", deal=start.deal.id, error=str(error))
        try:
            await self._client.start_workflow(
                WORKFLOW,
                again,
                id=start.deal.id,
                task_queue=TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                memo={"deal": start.deal},
                search_attributes=search_attributes(start.deal),
            )
        except WorkflowAlreadyStartedError:
            return  # the node of another chain was faster

    def _finding(self, problem: Problem, deal: str, entry: str, detail: str, done: str = "") -> Finding:
        return Finding(problem=problem, chain=self._chain.chain, deal=deal, entry=entry, detail=detail, done=done)


def _event(step: Step) -> tuple[str, int]:
    return step.transaction, step.log_index
