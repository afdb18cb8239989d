"""The role of the extended smart contracts: the workflows' worker, their schedules, and a watch for each chain."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion, WorkflowIDConflictPolicy
from temporalio.worker import Worker, WorkerDeploymentConfig

from connectionchain.network import Network
from connectionchain.reconciliation import SCHEDULE as RECONCILIATION_SCHEDULE
from connectionchain.settlement import TASK_QUEUE
from roles.resources import DRAIN
from roles.settings import Settings
from workflows.anchoring import SCHEDULE as ANCHORING_SCHEDULE
from workflows.anchoring import Anchoring
from workflows.billing import Billing
from workflows.reconciliation import Reconciliation
from workflows.settlement import Settlement
from workflows.watch import ChainWatch, watch_id

DEPLOYMENT = "connectionchain"
"""The name under which the engine knows the builds of the contracts' workers."""


async def contracts(client: Client, network: Network, settings: Settings) -> Worker:
    """The worker; what must run besides is there when this returns."""
    await _schedule_all(client, network, settings)
    await _watch_chains(client, network)
    return _worker(client, settings)


def _worker(client: Client, settings: Settings) -> Worker:
    """With a build id running deals move on to the build that is made current."""
    version = WorkerDeploymentVersion(DEPLOYMENT, settings.build_id or "")
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Settlement, Billing, ChainWatch, Reconciliation, Anchoring],
        deployment_config=WorkerDeploymentConfig(
            version=version,
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
        if settings.build_id
        else None,
        graceful_shutdown_timeout=DRAIN,
    )


async def _schedule_all(client: Client, network: Network, settings: Settings) -> None:
    chains = [chain.id for chain in network.chains.values()]
    await _schedule(client, RECONCILIATION_SCHEDULE, Reconciliation.run, [chains, False], settings.reconcile_minutes)
    if anchored := [chain.id for chain in network.chains.values() if network.log and chain.anchor_address]:
        await _schedule(client, ANCHORING_SCHEDULE, Anchoring.run, [anchored], settings.anchor_minutes)


async def _schedule(
    client: Client, name: str, workflow: Callable[..., Awaitable[Any]], args: list[Any], minutes: int
) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(workflow, args=args, id=name, task_queue=TASK_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=minutes))]),
    )
    try:
        await client.create_schedule(name, schedule)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(name)
        await handle.update(lambda _: ScheduleUpdate(schedule=schedule))


async def _watch_chains(client: Client, network: Network) -> None:
    """One watch for each chain, whoever starts it first."""
    for chain in network.chains.values():
        await client.start_workflow(
            ChainWatch.run,
            chain.id,
            id=watch_id(chain.id),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
