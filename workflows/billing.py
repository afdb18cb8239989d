"""Billing: lock the cap, follow the use, settle what is due whenever it is worth it, at the end give back the rest.

The second extended smart contract of the paper (section 5.2). It runs any mandate, whatever contract's events count
its use. Uses are priced and kept by the data chain's connection node; here their running total is enough.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.orders import EntryOrder, MeteringOrder, MeterOrder, ReckonOrder
    from connectionchain.authorization import Authorization
    from connectionchain.billing import (
        WORKFLOW,
        Bill,
        BillingStart,
        BillState,
        Dispute,
        MeterAttestation,
        Reckoning,
        Termination,
        TopUp,
    )
    from connectionchain.events import Observation
    from connectionchain.mandate import AtCap, shares
    from connectionchain.settlement import LegAuthorization
    from workflows import bill_words
    from workflows.bill_entitlement import may_authorize, may_dispute, may_terminate, may_top_up
    from workflows.entitlement import refusals
    from workflows.following import follow, unfollow
    from workflows.kit import DEAL_STATE, NoQuorum, all_ended, quorum, to_its_end
    from workflows.metering import attest_metering, check, hold, lock_entry, meter, reckon, reclaim_entry

PATIENCE = timedelta(minutes=2)
"""How long attestors are asked for one settlement before it is left to the next one."""

CLOSE_AGAIN = timedelta(minutes=5)
RECOUNT = "count again at once"
"""Runs that began before this was there rest first when the attestors do not agree to close."""


@workflow.defn(name=WORKFLOW)
class Billing:
    """One mandate's life. Its states and their exits: `connectionchain.billing.BillState`."""

    @workflow.init
    def __init__(self, start: BillingStart) -> None:
        self.start, self.mandate, self.progress = start, start.mandate, start.progress
        self.authorization: Authorization | None = start.authorization
        self.paused = ""
        self.topping_up = False

    @workflow.run
    async def run(self, start: BillingStart) -> Bill:
        return await to_its_end(self.live(), lambda: self.note(reason="only the consumer can end it"))

    async def live(self) -> Bill:
        if not self.progress.entries and not (await self.authorized() and await self.locked()):
            return self.ended(BillState.EXPIRED)
        with suppress(ActivityError):  # its node has been away to the end; whoever closes asks it again
            await follow(self.mandate.usage, self.mandate)
        while not self.over:
            if await self.worth_settling():
                await self.settle()
            await self.start_afresh_if_long()
        return await self.close()

    # ------------------------------------------------------------------------------------ the sentences above

    async def authorized(self) -> bool:
        """The consumer has authorised the cap, before it is over."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self.authorization or self.progress.termination),
                timeout=self.until(self.mandate.end),
                timeout_summary="end",
            )
        return self.authorization is not None and not self.over

    async def locked(self) -> bool:
        """The cap is in escrow, finally."""
        self.become(BillState.LOCKING)
        try:
            await self.lock(0, self.mandate.cap, self.authorization)
        except ActivityError as failed:
            self.note(reason=f"the cap cannot be locked: {failed.cause}")
            return False
        self.become(BillState.ACTIVE)
        return True

    async def worth_settling(self) -> bool:
        """Enough was used since the last time, or a period has passed; and it is not over, which settles it all."""
        said = self.progress.termination
        end = min(self.mandate.end, said.at) if said else self.mandate.end
        try:
            await workflow.wait_condition(
                lambda: self.over or self.enough or self.progress.termination is not said,
                timeout=min(self.mandate.period, self.until(end)),
                timeout_summary="period",
            )
            worth = self.enough
        except TimeoutError:
            worth = True
        await workflow.wait_condition(lambda: not self.paused)
        return worth and not self.over

    async def settle(self) -> None:
        """Pays what has become due, if anything has. What fails is left to the next time."""
        used = self.progress.used
        due = await reckon(self.reckoning())
        self.note(reckoned=used)
        if due.payable > self.progress.settled:
            await self.paid(due, closing=False)

    async def close(self) -> Bill:
        """The provider gets what was used, the consumer the rest; by expiry, if it cannot be agreed on before."""
        self.become(BillState.CLOSING)
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self.paused)
        doubted = False
        while self.until(self.mandate.expiry):
            with suppress(ActivityError):
                due = await reckon(self.reckoning(closing=True).model_copy(update={"doubted": doubted}))
                if await self.paid(due, closing=True):
                    return await self.left(BillState.CLOSED)
            if not doubted and workflow.patched(RECOUNT):
                doubted = True
                continue
            await workflow.sleep(min(CLOSE_AGAIN.total_seconds(), self.until(self.mandate.expiry)))
            await self.start_afresh_if_long()
        await all_ended(reclaim_entry(self.entry(n, amount)) for n, amount in enumerate(self.progress.entries))
        return await self.left(BillState.RECLAIMED)

    # ----------------------------------------------------------------------------------------- their details

    async def lock(self, number: int, amount: int, authorization: Authorization | None) -> None:
        step = await lock_entry(self.entry(number, amount, authorization))
        self.note(entries=(*self.progress.entries, amount), last=step, reason="")

    async def paid(self, due: Reckoning, closing: bool) -> bool:
        """The attestors agree and the escrow has paid, finally."""
        order = MeteringOrder(reckon=self.reckoning(closing), total=due.payable)
        until = self.mandate.expiry if closing else min(self.mandate.expiry, workflow.now() + PATIENCE)
        try:
            asked = [attest_metering(order, name, until) for name in self.start.attestors]
            await self.pay(due, closing, tuple(await quorum(asked, self.start.threshold)))
        except (NoQuorum, ActivityError) as failed:
            self.note(reason=str(failed.cause if isinstance(failed, ActivityError) else failed))
            return False
        return True

    async def pay(self, due: Reckoning, closing: bool, attestations: tuple[MeterAttestation, ...]) -> None:
        """One transaction for each entry whose share grew; to close, for each."""
        entries, before = self.progress.entries, shares(self.progress.settled, self.progress.entries)
        for number, share in enumerate(shares(due.payable, entries)):
            if closing or share > before[number]:
                order = MeterOrder(
                    entry=self.entry(number, entries[number]),
                    cumulative=share,
                    close=closing,
                    attestations=attestations,
                    since=self.progress.last.block.number if self.progress.last else 0,
                )
                self.note(last=await meter(order), settlements=self.progress.settlements + 1)
        self.note(settled=due.payable, settled_through=due.through, reason="")

    def reckoning(self, closing: bool = False) -> ReckonOrder:
        now = self.progress
        return ReckonOrder(
            mandate=self.mandate,
            entries=now.entries,
            disputes=now.disputes,
            termination=now.termination,
            closing=closing,
        )

    def entry(self, number: int, amount: int, authorization: Authorization | None = None) -> EntryOrder:
        return EntryOrder(mandate=self.mandate, number=number, amount=amount, authorization=authorization)

    async def start_afresh_if_long(self) -> None:
        """Before the history is too long. Whatever was said meanwhile is taken along."""
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(self.start.model_copy(update={"progress": self.progress}))

    async def left(self, state: BillState) -> Bill:
        await unfollow([self.mandate.usage.chain])
        return self.ended(state)

    # ------------------------------------------------------------------------------------------------- facts

    @property
    def cap(self) -> int:
        return sum(self.progress.entries)

    @property
    def over(self) -> bool:
        now, said = workflow.now(), self.progress.termination
        refused = self.mandate.at_cap is AtCap.REFUSE and bool(self.cap) and self.progress.used > self.cap
        closing = self.progress.state is BillState.CLOSING
        return closing or refused or now >= self.mandate.end or (said is not None and now >= said.at)

    @property
    def enough(self) -> bool:
        return self.progress.used - self.progress.reckoned >= self.mandate.threshold

    def until(self, time: datetime) -> float:
        """Seconds from now to `time`; 0 if it has passed."""
        return max(0.0, (time - workflow.now()).total_seconds())

    def note(self, **news: Any) -> None:
        self.progress = self.progress.model_copy(update=news)
        workflow.set_current_details(bill_words.details(self.explain()))

    def become(self, state: BillState) -> None:
        if state is not self.progress.state:
            workflow.upsert_search_attributes([DEAL_STATE.value_set(state)])
        self.note(state=state)

    def ended(self, state: BillState) -> Bill:
        self.become(state)
        return self.explain()

    # ---------------------------------------------------------------------------------------------- messages

    @workflow.query
    def explain(self) -> Bill:
        """Where the mandate stands, what it waits for, until when, and what was used and settled."""
        return bill_words.bill(self.mandate, self.progress, self.cap, self.paused)

    @workflow.signal
    def observed(self, told: Observation) -> None:
        """The chain watch tells the running total."""
        if self.progress.used_at < told.at:
            self.note(used_at=told.at, uses=told.count, used=told.total)

    @workflow.update
    async def authorize(self, given: LegAuthorization) -> Bill:
        """The consumer's authorisation of the cap."""
        self.authorization = given.authorization
        return self.explain()

    @workflow.update
    async def top_up(self, given: TopUp) -> Bill:
        """A further lock; uses that did not fit under the cap become payable, in order."""
        self.topping_up = True
        try:
            await self.lock(given.number, given.amount, given.authorization)
            self.note(reckoned=0)
        finally:
            self.topping_up = False
        return self.explain()

    @workflow.update
    async def terminate(self, said: Termination) -> Bill:
        """The consumer ends it; what was used before is paid."""
        await check(self.mandate, said)
        self.note(termination=said)
        return self.explain()

    @workflow.update
    async def dispute(self, said: Dispute) -> Bill:
        """The consumer disputes one use; only its own price is held back."""
        await check(self.mandate, said)
        await hold(self.mandate, said)
        self.note(disputes=(*self.progress.disputes, said))
        return self.explain()

    @authorize.validator
    def check_authorize(self, given: LegAuthorization) -> None:
        with refusals():
            may_authorize(self.progress, given)

    @top_up.validator
    def check_top_up(self, given: TopUp) -> None:
        with refusals():
            may_top_up(self.progress, given, self.topping_up, self.over)

    @terminate.validator
    def check_terminate(self, said: Termination) -> None:
        with refusals():
            may_terminate(self.mandate, self.progress, said, workflow.now())

    @dispute.validator
    def check_dispute(self, said: Dispute) -> None:
        with refusals():
            may_dispute(self.mandate, self.progress, said)

    @workflow.signal
    def pause(self, reason: str) -> None:
        """A chain took back what was final: nothing is settled until the operator has looked at it."""
        self.paused = reason

    @workflow.signal
    def resume(self) -> None:
        self.paused = ""
