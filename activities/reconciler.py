"""Compares one chain's escrow with the evidence and the workflow engine, and puts right what it safely can."""

from collections import defaultdict
from collections.abc import Sequence

from temporalio import activity
from temporalio.client import Client

from activities.driver import Driver
from activities.failures import typed_failures
from activities.lost import Contract, Lost
from activities.node import BACK
from adapters.base import ChainAdapter, Reclaim, Surveyed
from connectionchain.escrow import EscrowContract, Terms
from connectionchain.evidence import EvidenceRecord, Kind, Step
from connectionchain.ids import TokenId
from connectionchain.reconciliation import Finding, Problem, ReconciliationReport
from ledger import evidence
from ledger.database import Database


class Reconciler:
    """Of one chain. It moves assets only by what anybody may do: restart a deal or a mandate, reclaim after expiry."""

    def __init__(
        self, chain: ChainAdapter, escrow: EscrowContract, driver: Driver, database: Database, client: Client
    ) -> None:
        self._chain, self._escrow, self._driver = chain, escrow, driver
        self._database, self._lost = database, Lost(client)

    @activity.defn
    @typed_failures
    async def reconcile(self) -> ReconciliationReport:
        """Raises Unavailable if the chain does not answer."""
        entries = await self._chain.survey()
        async with self._database.read() as session:
            recorded = [each async for each in evidence.of_chain(session, self._chain.chain)]
        found = self._unfounded(entries, recorded)
        known, named = {_event(each.step) for each in recorded}, defaultdict[str, list[Terms]](list)
        for entry in entries:
            named[entry.terms.deal].append(entry.terms)
        for entry in entries:
            activity.heartbeat(entry.entry)
            found += await self._look_at(entry, named[entry.terms.deal], known)
        return ReconciliationReport(compared=len(entries), findings=tuple(found))

    def _unfounded(self, entries: Sequence[Surveyed], recorded: Sequence[EvidenceRecord]) -> list[Finding]:
        on_chain = {(*_event(step), step.block.hash) for entry in entries for step in entry.steps}
        return [
            self._finding(Problem.UNFOUNDED, each.deal, each.escrow_id, f"{each.step.kind} in {each.step.transaction}")
            for each in recorded
            if each.step.kind not in (Kind.CANCELLED, Kind.DISPLACED)
            and (*_event(each.step), each.step.block.hash) not in on_chain
        ]

    async def _look_at(self, entry: Surveyed, of_deal: Sequence[Terms], known: set[tuple[str, int]]) -> list[Finding]:
        unrecorded = [step for step in entry.steps if _event(step) not in known]
        is_open = entry.steps[-1].kind in (Kind.LOCKED, Kind.METERED)
        if not (unrecorded or is_open):
            return []
        chain = self._chain.chain
        contract = await self._lost.find(entry.terms.deal, chain, of_deal)
        if contract and contract.running:
            return []  # it looks after itself
        number = contract.number(chain, entry.terms) if contract else None
        found = [await self._record(entry, step, number) for step in unrecorded]
        if is_open:
            lost = contract if contract and contract.lost and number is not None else None
            found.append(await self._take_care_of(entry, lost))
        return found

    async def _record(self, entry: Surveyed, step: Step, number: int | None) -> Finding:
        done = ""
        if number is not None:
            record = EvidenceRecord(
                deal=entry.terms.deal,
                escrow_id=entry.entry,
                step=step.model_copy(update={"leg": number}),
                token=TokenId(f"{self._chain.chain}/erc20:{entry.terms.token}"),
                amount=entry.terms.amount if step.paid is None else step.paid,
            )
            async with self._database.write() as session:
                await evidence.append(session, record)
            done = "recorded"
        detail = f"{step.kind} in {step.transaction}" + ("" if done else ", of no deal that was started here")
        return self._finding(Problem.UNRECORDED, entry.terms.deal, entry.entry, detail, done)

    async def _take_care_of(self, entry: Surveyed, lost: Contract | None) -> Finding:
        """Past expiry anybody may give it back to its payer; before, its deal is taken up again if it is known."""
        deal = entry.terms.deal
        if (await self._chain.block("latest")).time.timestamp() >= entry.terms.expiry:
            await self._driver.drive(f"{deal}/{entry.entry}/reclaim", Reclaim(entry.terms), [entry.terms], BACK)
            return self._finding(Problem.ABANDONED, deal, entry.entry, "expired", "reclaimed for its payer")
        if lost is None:
            detail = "no lost deal of this id is known here: it can be reclaimed from its expiry on"
            return self._finding(Problem.ABANDONED, deal, entry.entry, detail)
        await self._lost.take_up(lost)
        return self._finding(
            Problem.ABANDONED, deal, entry.entry, "its workflow was lost", f"{lost.kind} taken up again"
        )

    def _finding(self, problem: Problem, deal: str, entry: str, detail: str, done: str = "") -> Finding:
        return Finding(problem=problem, chain=self._chain.chain, deal=deal, entry=entry, detail=detail, done=done)


def _event(step: Step) -> tuple[str, int]:
    return step.transaction, step.log_index
