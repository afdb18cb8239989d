"""What extended smart contracts are written with: orders to connection nodes and attestors, with named policies."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.types import MethodAsyncSingleParam

with workflow.unsafe.imports_passed_through():
    from activities.attestor import Attestor
    from activities.node import ConnectionNode
    from activities.orders import (
        AttestOrder,
        GiveBackOrder,
        LockOrder,
        ReleaseOrder,
        attestor_queue,
        node_queue,
    )
    from connectionchain.authorization import Authorization
    from connectionchain.certificate import Attestation, Certificate, Outcome, Settlement
    from connectionchain.deal import Deal
    from connectionchain.errors import AlreadyDecided
    from connectionchain.evidence import Step
    from connectionchain.ids import ChainId
    from connectionchain.statements import Statement

T = TypeVar("T")
OrderT = TypeVar("OrderT")

DEAL_STATE = SearchAttributeKey.for_keyword("DealState")

# A ledger operation may have to outwait a dead chain; a lost worker is noticed by its missing heartbeat.
LEDGER_ATTEMPT = timedelta(days=1)
LEDGER_HEARTBEAT = timedelta(seconds=20)
LEDGER_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))

# An attestor answers in a moment, or says that its node has not seen it yet.
ATTEST_ATTEMPT = timedelta(seconds=30)
ATTEST_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=10)
)


async def operate(operation: MethodAsyncSingleParam[Any, OrderT, T], order: OrderT, chain: ChainId, summary: str) -> T:
    """What the connection node of `chain` made of the order, finally. ActivityError if it can never be done."""
    return await workflow.execute_activity_method(
        operation,
        order,
        task_queue=node_queue(chain),
        start_to_close_timeout=LEDGER_ATTEMPT,
        heartbeat_timeout=LEDGER_HEARTBEAT,
        retry_policy=LEDGER_RETRY,
        summary=summary,
    )


async def lock(deal: Deal, leg: int, authorization: Authorization) -> Step:
    """The leg's asset is in escrow, finally. ActivityError if it can never be, with nothing in flight."""
    order, chain = LockOrder(deal=deal, leg=leg, authorization=authorization), deal.legs[leg].chain
    return await operate(ConnectionNode.lock, order, chain, f"lock leg {leg} on {chain}")


async def release(deal: Deal, settlement: Settlement, certificate: Certificate) -> list[Step]:
    """The legs of one settlement are with their payees, finally."""
    order, chain = ReleaseOrder(deal=deal, settlement=settlement, certificate=certificate), settlement.chain
    summary = f"release legs {', '.join(map(str, settlement.legs))} on {chain}"
    return await operate(ConnectionNode.release, order, chain, summary)


async def give_back(deal: Deal, leg: int, certificate: Certificate | None) -> Step:
    """The asset of a leg that was locked is back with its payer, finally."""
    order, chain = GiveBackOrder(deal=deal, leg=leg, certificate=certificate), deal.legs[leg].chain
    return await operate(ConnectionNode.give_back, order, chain, f"give back leg {leg} on {chain}")


async def to_its_end(life: Coroutine[Any, Any, T], when_cancelled: Callable[[], None]) -> T:
    """The result of `life`. The engine's cancellation does not break it off, so that no money is left half way; and who
    said something meanwhile gets his answer first."""
    living = asyncio.create_task(_all_answered(life))
    while not living.done():
        try:
            await asyncio.shield(living)
        except asyncio.CancelledError:
            if living.cancelled():
                raise
            when_cancelled()
    return living.result()


async def _all_answered(life: Coroutine[Any, Any, T]) -> T:
    result = await life
    await workflow.wait_condition(workflow.all_handlers_finished)
    return result


async def all_ended(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results in order. The first failure is raised only once all have ended: no leg is abandoned for another's."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def attest(
    deal: Deal, outcome: Outcome, statements: tuple[Statement, ...], name: str, until: datetime
) -> Attestation | ActivityError:
    """One attestor's signed decision, or why there is none: returned, because nobody may be waiting for it any more."""
    try:
        return await workflow.execute_activity_method(
            Attestor.attest,
            AttestOrder(deal=deal, outcome=outcome, statements=statements),
            task_queue=attestor_queue(name),
            start_to_close_timeout=ATTEST_ATTEMPT,
            schedule_to_close_timeout=max(until - workflow.now(), ATTEST_ATTEMPT),
            retry_policy=ATTEST_RETRY,
            summary=f"{name}: {outcome}?",
        )
    except ActivityError as failed:
        return failed


class NoQuorum(Exception):
    """Too few attestors agree. `refusals` say why, by error type; an attestor that did not answer says nothing."""

    def __init__(self, failed: list[ActivityError]) -> None:
        self.refusals = [error.cause for error in failed if isinstance(error.cause, ApplicationError)]
        told = list(dict.fromkeys(each.message for each in self.refusals))
        if silent := len(failed) - len(self.refusals):
            told.append(f"{silent} did not answer in time")
        super().__init__("too few attestors agree: " + "; ".join(told))

    @property
    def decided_otherwise(self) -> bool:
        """Some have decided the other way already."""
        return any(each.type == AlreadyDecided.__name__ for each in self.refusals)


async def certify(
    deal: Deal,
    outcome: Outcome,
    statements: tuple[Statement, ...],
    attestors: tuple[str, ...],
    threshold: int,
    until: datetime,
) -> Certificate:
    """The decision of the first `threshold` attestors. Raises NoQuorum."""
    asked = [attest(deal, outcome, statements, name, until) for name in attestors]
    return Certificate(deal=deal.id, outcome=outcome, attestations=tuple(await quorum(asked, threshold)))


async def quorum(questions: Sequence[Coroutine[Any, Any, T | ActivityError]], threshold: int) -> list[T]:
    """Asks all attestors at once; the first `threshold` answers. Raises NoQuorum once there cannot be so many."""
    asked = [asyncio.create_task(each) for each in questions]
    given: list[T] = []
    failed: list[ActivityError] = []
    for each in workflow.as_completed(asked):
        answer = await each
        failed.append(answer) if isinstance(answer, ActivityError) else given.append(answer)
        if len(given) == threshold:
            return given
        if len(failed) > len(asked) - threshold:
            break
    raise NoQuorum(failed)
