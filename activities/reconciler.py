"""Compares one chain's escrow with the evidence and the workflow engine, and puts right what it safely can."""

import time
from dataclasses import replace

from temporalio import activity
from temporalio.client import Client

from activities.driver import Driver
from activities.failures import typed_failures
from activities.heart import beating
from activities.lost import Contract, Lost
from activities.node import BACK
from activities.survey import Survey, Surveyed, survey
from adapters.base import ChainAdapter, Reclaim
from connectionchain.escrow import EscrowContract
from connectionchain.evidence import EvidenceRecord, Step
from connectionchain.ids import TokenId
from connectionchain.reconciliation import Finding, Problem, ReconciliationReport
from ledger import evidence
from ledger.database import Database

FROM_THE_BEGINNING_S = 24 * 3600.0
"""Once a day everything is looked at, not only what is new."""


class Reconciler:
    """Of one chain. It moves assets only by what anybody may do: restart a deal or a mandate, reclaim after expiry."""

    def __init__(
        self, chain: ChainAdapter, escrow: EscrowContract, driver: Driver, database: Database, client: Client
    ) -> None:
        self._chain, self._escrow, self._driver = chain, escrow, driver
        self._database, self._lost = database, Lost(client)
        self._past: Survey | None = None

    @activity.defn
    @typed_failures
    async def reconcile(self, thorough: bool = True) -> ReconciliationReport:
        """What is open, and what is new since the last time this process was asked; or, if `thorough`, first asked, or
        after a day, everything. Raises Unavailable if the chain does not answer."""
        async with beating():
            now = await survey(self._chain, self._database, None if thorough else await self._begun())
            found, again = [self._unfounded(each) for each in now.unfounded], dict[str, Surveyed]()
            for entry in now.entries.values():
                told = await self._look_at(entry)
                if entry.open or not told:
                    again[entry.entry] = entry
                found += told
            self._past = replace(now, entries=again, unfounded=[])
            return ReconciliationReport(compared=now.compared, findings=tuple(found))

    async def _begun(self) -> Survey | None:
        """The last survey, if it is not too long ago that it began, and the chain is still the one it was made of."""
        past = self._past
        if past is None or time.monotonic() - past.began > FROM_THE_BEGINNING_S:
            return None
        return past if await self._chain.hash_of(past.last.number) == past.last.hash else None

    def _unfounded(self, record: EvidenceRecord) -> Finding:
        detail = f"{record.step.kind} in {record.step.transaction}"
        return self._finding(Problem.UNFOUNDED, record.deal, record.escrow_id, detail)

    async def _look_at(self, entry: Surveyed) -> list[Finding]:
        """What is the matter with it; nothing, if its contract runs: it looks after itself."""
        deal, chain = entry.terms.deal, self._chain.chain
        contract = await self._lost.find(deal, chain, lambda: self._chain.locked(deal))
        if contract and contract.running:
            return []
        number = contract.number(chain, entry.terms) if contract else None
        found = [await self._record(entry, step, number) for step in entry.unrecorded]
        if entry.open:
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
