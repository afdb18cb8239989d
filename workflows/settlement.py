"""Settlement: lock every leg, wait for the condition, then transfer all of them or give all of them back.

The extended smart contract of the paper (sections 4.2 and 5.1). It runs any deal: a purchase across currencies, a
swap, a trade of many parties. Nothing here moves an asset: connection nodes do, by certificates of the attestors.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from connectionchain.certificate import Certificate, Outcome, settlements
    from connectionchain.conditions import OPERATOR, Facts, TimeReached, followed, parts
    from connectionchain.events import Observation
    from connectionchain.evidence import Kind, Step
    from connectionchain.settlement import WORKFLOW, Explanation, LegAuthorization, SettlementStart, State
    from connectionchain.statements import Statement
    from workflows import words
    from workflows.entitlement import may_authorize, may_cancel, may_confirm, refusals
    from workflows.following import Inbox, follow, unfollow
    from workflows.kit import DEAL_STATE, NoQuorum, all_ended, certify, give_back, lock, release, to_its_end


@workflow.defn(name=WORKFLOW)
class Settlement:
    """One deal's life. Its states and their exits: `connectionchain.settlement.State`."""

    @workflow.init
    def __init__(self, start: SettlementStart) -> None:
        self.deal, self.attestors, self.threshold = start.deal, start.attestors, start.threshold
        self.authorizations = {each.leg: each.authorization for each in start.authorizations}
        self.state = State.AWAITING_AUTHORIZATION
        self.confirmations = list(start.confirmations)
        self.cancellation: Statement | None = None
        self.late = False
        self.refused: set[Outcome] = set()
        self.earlier: Outcome | None = None
        self.reason = ""
        self.paused = ""
        self.alarms: list[asyncio.Task[None]] = []
        self.locks: dict[int, asyncio.Task[None]] = {}
        self.steps: list[Step] = []
        self.certificate = start.certificate
        self.inbox = Inbox()
        self.following: list[asyncio.Task[None]] = []

    @workflow.run
    async def run(self, start: SettlementStart) -> Explanation:
        return await to_its_end(self.live(), self.cancel_signal)  # a cancellation is the operator's word

    async def live(self) -> Explanation:
        self.watch_the_clock()
        if not await self.authorized():
            return await self.ended(State.EXPIRED)
        await self.lock()
        self.certificate = self.certificate or await self.decided()
        if self.certificate and self.certificate.outcome is Outcome.COMMIT:
            await self.release(self.certificate)
            return await self.ended(State.SETTLED)
        await self.give_back()
        reclaimed = any(step.kind is Kind.RECLAIMED for step in self.steps)
        return await self.ended(State.RECLAIMED if reclaimed else State.REFUNDED)

    # ------------------------------------------------------------------------------------ the sentences above

    async def authorized(self) -> bool:
        """Every payer has authorised his leg, before it is cancelled or too late."""
        await workflow.wait_condition(lambda: self.over or len(self.authorizations) == len(self.deal.legs))
        return not self.over

    async def lock(self) -> None:
        """Every leg is in escrow, finally; or one cannot be, or it is over before."""
        self.become(State.LOCKING)
        self.following = [asyncio.create_task(follow(each.filter)) for each in followed(self.deal.condition)]
        self.lock_every_leg()
        await workflow.wait_condition(lambda: self.locked or self.over)

    async def decided(self) -> Certificate | None:
        """The attestors' decision; None if they could not agree before expiry."""
        while True:
            if self.locked and not self.over:
                self.become(State.LOCKED)
            await workflow.wait_condition(
                lambda: not self.paused and (self.earlier is not None or self.over or self.agreed)
            )
            outcome = self.earlier or (Outcome.COMMIT if self.agreed else Outcome.ABORT)
            self.become(State.COMMITTING if outcome is Outcome.COMMIT else State.ABORTING)
            try:
                return await self.certify(outcome)
            except NoQuorum as no:
                self.reason = str(no)
                if not self.forgot_forged(no) and self.at_an_end(outcome, no):
                    await workflow.sleep(self.until(self.deal.expiry), summary="expiry: payers reclaim")
                    return None

    async def release(self, certificate: Certificate) -> None:
        """Every leg goes to its payee."""
        self.reason = ""  # what was refused on the way has been made good
        orders = settlements(self.deal, Outcome.COMMIT)
        for steps in await all_ended(release(self.deal, each, certificate) for each in orders):
            self.note(*steps)

    async def give_back(self) -> None:
        """Every leg that came into escrow goes back to its payer: by decision, or without one by expiry."""
        self.become(State.ABORTING)
        await all_ended(self.give_leg_back(n) for n in self.locks)

    # ----------------------------------------------------------------------------------------- their details

    def lock_every_leg(self) -> None:
        self.locks = {n: asyncio.create_task(self.lock_leg(n)) for n in range(len(self.deal.legs))}

    async def lock_leg(self, leg: int) -> None:
        try:
            self.note(await lock(self.deal, leg, self.authorizations[leg]))
        except ActivityError as failed:
            self.reason = f"leg {leg} cannot be locked: {failed.cause}"
            raise

    async def give_leg_back(self, leg: int) -> None:
        """Learns what became of the lock first: one in flight would land in escrow behind the refund's back."""
        try:
            await self.locks[leg]
        except ActivityError:
            return
        self.note(await give_back(self.deal, leg, self.certificate))

    async def certify(self, outcome: Outcome) -> Certificate:
        statements = tuple(self.confirmations) if outcome is Outcome.COMMIT else self.cancellations
        until = self.deal.decide_by if outcome is Outcome.COMMIT and not self.over else self.deal.expiry
        return await certify(self.deal, outcome, statements, self.attestors, self.threshold, until)

    def at_an_end(self, outcome: Outcome, no: NoQuorum) -> bool:
        """Whether there is nothing left to ask for. Attestors that decided otherwise in an earlier run of this deal
        are asked for that decision; a commit that is refused leaves the abort to be asked for when it is over."""
        other = Outcome.ABORT if outcome is Outcome.COMMIT else Outcome.COMMIT
        self.refused.add(outcome)
        self.earlier = other if no.decided_otherwise and other not in self.refused else None
        return self.earlier is None and Outcome.ABORT in self.refused

    def forgot_forged(self, no: NoQuorum) -> bool:
        """Drops statements whose signatures the attestors found false, so that a true one can still come."""
        forged = {each.details[0] for each in no.refusals if each.type == "BadSignature"}
        self.confirmations = [each for each in self.confirmations if each.label not in forged]
        if self.cancellation and self.cancellation.label in forged:
            self.cancellation = None
        return bool(forged)

    def watch_the_clock(self) -> None:
        """One timer for decide_by and one for each time the condition names; nothing else needs the clock."""
        times = [part.at for part in parts(self.deal.condition) if isinstance(part, TimeReached)]
        self.alarms = [asyncio.create_task(self.alarm(at, "condition: time reached")) for at in dict.fromkeys(times)]
        self.alarms.append(asyncio.create_task(self.alarm(self.deal.decide_by, "decide by")))

    async def alarm(self, at: datetime, summary: str) -> None:
        await workflow.sleep(self.until(at), summary=summary)
        if workflow.now() >= self.deal.decide_by:
            self.late = True
            if self.state.undecided:
                self.reason = "; ".join(filter(None, ("decide_by has passed", self.reason)))

    # ------------------------------------------------------------------------------------------------- facts

    @property
    def locked(self) -> bool:
        return len(self.locks) > 0 and all(each.done() and not each.exception() for each in self.locks.values())

    @property
    def over(self) -> bool:
        """It can only be given back now."""
        failed = any(each.done() and each.exception() for each in self.locks.values())
        return self.cancellation is not None or self.late or failed

    @property
    def agreed(self) -> bool:
        """It can be committed: every leg is locked, the condition holds, and nobody was there first to cancel."""
        holds = self.deal.condition is None or self.deal.condition.holds(self.facts)
        return self.locked and holds and not self.over and Outcome.COMMIT not in self.refused

    @property
    def facts(self) -> Facts:
        confirmed = frozenset(each.by or OPERATOR for each in self.confirmations)
        return Facts(now=workflow.now(), confirmed=confirmed, seen=self.inbox.counts)

    @property
    def missing(self) -> tuple[str, ...]:
        """What it waits for, in words."""
        if self.paused:
            return (f"its operator to resume it: {self.paused}",)
        match self.state:
            case State.AWAITING_AUTHORIZATION:
                return words.unauthorized(self.deal, self.authorizations.keys())
            case State.LOCKING:
                return words.unmoved(self.deal, self.steps, "locked")
            case State.LOCKED if self.deal.condition:
                return tuple(self.deal.condition.missing(self.facts))
            case State.COMMITTING if self.certificate:
                return words.unmoved(self.deal, self.steps, "released")
            case State.ABORTING if self.certificate:
                return words.unmoved(self.deal, self.steps, "given back")
            case State.COMMITTING | State.ABORTING:
                return (f"{self.threshold} of {len(self.attestors)} attestors to agree",)
        return ()

    @property
    def deadline(self) -> datetime | None:
        if self.state.terminal:
            return None
        return self.deal.expiry if self.certificate or self.over else self.deal.decide_by

    @property
    def cancellations(self) -> tuple[Statement, ...]:
        return (self.cancellation,) if self.cancellation else ()

    def until(self, time: datetime) -> float:
        """Seconds from now to `time`; 0 if it has passed."""
        return max(0.0, (time - workflow.now()).total_seconds())

    def become(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            workflow.upsert_search_attributes([DEAL_STATE.value_set(state)])
        workflow.set_current_details(words.details(self.explain()))

    def note(self, *steps: Step) -> None:
        self.steps.extend(steps)
        workflow.set_current_details(words.details(self.explain()))

    async def ended(self, state: State) -> Explanation:
        self.become(state)
        if self.following:
            await unfollow(each.chain for each in followed(self.deal.condition))
        return self.explain()

    # ---------------------------------------------------------------------------------------------- messages

    @workflow.query
    def explain(self) -> Explanation:
        """Where the deal stands, what it waits for, until when, and what was done."""
        return Explanation(
            deal=self.deal.id,
            state=self.state,
            waiting_for=self.missing,
            deadline=self.deadline,
            next_action=words.NEXT.get(self.state, ""),
            reason=self.reason,
            steps=tuple(self.steps),
            certificate=self.certificate,
            confirmations=tuple(self.confirmations),
        )

    @workflow.update
    def authorize(self, given: LegAuthorization) -> Explanation:
        """A payer's authorisation of his leg."""
        self.authorizations[given.leg] = given.authorization
        return self.explain()

    @workflow.update
    def confirm(self, confirmation: Statement) -> Explanation:
        """A confirmation by a party the condition names."""
        self.confirmations.append(confirmation)
        return self.explain()

    @workflow.update
    def cancel(self, cancellation: Statement) -> Explanation:
        """A cancellation by a party the deal entitles to it."""
        self.cancellation, self.reason = cancellation, cancellation.label
        return self.explain()

    @authorize.validator
    def check_authorize(self, given: LegAuthorization) -> None:
        with refusals():
            may_authorize(self.deal, self.state, given)

    @confirm.validator
    def check_confirm(self, confirmation: Statement) -> None:
        with refusals():
            may_confirm(self.deal, self.state, confirmation, self.over, len(self.confirmations))

    @cancel.validator
    def check_cancel(self, cancellation: Statement) -> None:
        with refusals():
            may_cancel(self.deal, self.state, cancellation, self.over or self.agreed, workflow.now())

    # The same as plain signals, for the web UI and the engine's command line. One that is refused leaves its reason.

    @workflow.signal(name="authorize")
    def authorize_signal(self, given: LegAuthorization) -> None:
        with self.noting_refusal():
            self.check_authorize(given)
            self.authorizations[given.leg] = given.authorization

    @workflow.signal(name="confirm")
    def confirm_signal(self, confirmation: Statement | None = None) -> None:
        said = confirmation or Statement(kind="confirmation")
        with self.noting_refusal():
            self.check_confirm(said)
            self.confirmations.append(said)

    @workflow.signal(name="cancel")
    def cancel_signal(self, cancellation: Statement | None = None) -> None:
        said = cancellation or Statement(kind="cancellation")
        with self.noting_refusal():
            self.check_cancel(said)
            self.cancellation, self.reason = said, said.label

    @workflow.signal
    def observed(self, told: Observation) -> None:
        """The chain watch saw events that the condition asks for."""
        self.inbox.take(told)

    @workflow.signal
    def pause(self, reason: str) -> None:
        """A chain took back what was final: nothing is decided until the operator has looked at it."""
        self.paused = reason
        workflow.set_current_details(words.details(self.explain()))

    @workflow.signal
    def resume(self) -> None:
        """Goes on, and brings every leg into escrow again that is not there any more."""
        self.paused = ""
        if self.locks and not self.certificate:
            self.lock_every_leg()

    @contextmanager
    def noting_refusal(self) -> Iterator[None]:
        try:
            yield
        except ApplicationError as refused:
            self.reason = f"refused: {refused.message}"
