"""What the billing contract is written with: orders to bookkeepers, cashiers and attestors."""

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.bookkeeper import Bookkeeper
    from activities.cashier import Cashier
    from activities.metering import MeterAttestor
    from activities.orders import (
        CheckOrder,
        EntryOrder,
        HoldOrder,
        MeteringOrder,
        MeterOrder,
        ReckonOrder,
        attestor_queue,
        node_queue,
    )
    from connectionchain.billing import Dispute, MeterAttestation, Reckoning, Termination
    from connectionchain.evidence import Step
    from connectionchain.mandate import Mandate
    from workflows.kit import ATTEST_ATTEMPT, ATTEST_RETRY, LEDGER_ATTEMPT, LEDGER_HEARTBEAT, operate


async def lock_entry(order: EntryOrder) -> Step:
    """The cap, or a top-up, is in escrow, finally. ActivityError if it can never be, with nothing in flight."""
    return await operate(Cashier.lock_entry, order, order.mandate.chain, f"lock entry {order.number}")


async def meter(order: MeterOrder) -> Step:
    """The provider has so much of the entry; if it closes, the consumer has the rest. Finally."""
    summary = f"{'close' if order.close else 'meter'} entry {order.entry.number} at {order.cumulative}"
    return await operate(Cashier.meter, order, order.entry.mandate.chain, summary)


async def reclaim_entry(order: EntryOrder) -> Step:
    """What was not paid of the entry is back with the consumer, finally."""
    return await operate(Cashier.reclaim_entry, order, order.mandate.chain, f"reclaim entry {order.number}")


async def reckon(order: ReckonOrder) -> Reckoning:
    """What is due by the data chain's bill. To close: waits until nothing more can become due, at most to expiry. To
    count a bill again may take long."""
    left = order.mandate.expiry - workflow.now()
    return await workflow.execute_activity_method(
        Bookkeeper.reckon,
        order,
        task_queue=node_queue(order.mandate.usage.chain),
        start_to_close_timeout=LEDGER_ATTEMPT if order.doubted else ATTEST_ATTEMPT,
        heartbeat_timeout=LEDGER_HEARTBEAT if order.doubted else None,
        schedule_to_close_timeout=max(left, ATTEST_ATTEMPT),
        retry_policy=ATTEST_RETRY,
        summary="reckon" + (" up" if order.closing else ""),
    )


async def attest_metering(order: MeteringOrder, name: str, until: datetime) -> MeterAttestation | ActivityError:
    """One attestor's signatures for the amount, or why there are none."""
    try:
        return await workflow.execute_activity_method(
            MeterAttestor.attest_metering,
            order,
            task_queue=attestor_queue(name),
            start_to_close_timeout=LEDGER_ATTEMPT,
            heartbeat_timeout=LEDGER_HEARTBEAT,
            schedule_to_close_timeout=max(until - workflow.now(), ATTEST_ATTEMPT),
            retry_policy=ATTEST_RETRY,
            summary=f"{name}: {order.total}?",
        )
    except ActivityError as failed:
        return failed


async def check(mandate: Mandate, said: Termination | Dispute) -> None:
    """ActivityError with a BadSignature unless the consumer signed it; without one, if that cannot be told in time."""
    await workflow.execute_activity_method(
        Cashier.check,
        CheckOrder(mandate=mandate, said=said),
        task_queue=node_queue(mandate.chain),
        start_to_close_timeout=ATTEST_ATTEMPT,
        schedule_to_close_timeout=ATTEST_ATTEMPT,
        retry_policy=ATTEST_RETRY,
    )


async def hold(mandate: Mandate, dispute: Dispute) -> None:
    """The disputed use is held back. ActivityError with UnknownName or TooLate if it cannot be; without one, if
    the node does not answer in time: what is to be closed does not wait for it."""
    await workflow.execute_activity_method(
        Bookkeeper.hold,
        HoldOrder(mandate=mandate, use=dispute.use),
        task_queue=node_queue(mandate.usage.chain),
        start_to_close_timeout=ATTEST_ATTEMPT,
        schedule_to_close_timeout=ATTEST_ATTEMPT,
        retry_policy=ATTEST_RETRY,
    )
