"""What docs/operations/upgrades.md says: a deal goes on under a build whose contract has a step more."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client as Engine
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

with workflow.unsafe.imports_passed_through():
    from connectionchain import Confirmed, State
    from connectionchain.settlement import SettlementStart
    from workflows.settlement import Settlement

DEPLOYMENT, QUEUE = "upgrade-test", "upgrade-test"


@workflow.defn(name="Settlement")
class WithAStepMore(Settlement):
    """The next build: before it ends, a settled deal sleeps a moment; deals that began before do the same."""

    @workflow.run
    async def run(self, start: SettlementStart):
        result = await super().run(start)
        if workflow.patched("a-step-more"):
            await workflow.sleep(timedelta(milliseconds=10), summary="the step more")
        return result


def build(engine: Engine, number: str, contract: type) -> Worker:
    version = WorkerDeploymentVersion(DEPLOYMENT, number)
    config = WorkerDeploymentConfig(version, True, VersioningBehavior.AUTO_UPGRADE)
    return Worker(engine, task_queue=QUEUE, workflows=[contract], deployment_config=config)


async def make_current(engine: Engine, number: str) -> None:
    """The engine must have heard of the build first."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=engine.namespace, deployment_name=DEPLOYMENT, build_id=number, ignore_missing_task_queues=True
    )
    async with asyncio.timeout(30):
        while True:
            try:
                await engine.workflow_service.set_worker_deployment_current_version(request)
                return
            except RPCError:
                await asyncio.sleep(0.1)


async def test_upgrade__a_deal_locked_under_one_build_settles_under_the_next(scene) -> None:
    engine = scene.stack.client.engine.temporal
    hanako, shop, bank = await scene.person("A"), await scene.person(), await scene.person("B")
    legs = scene.leg("A", hanako, bank), scene.leg("B", bank, shop)
    deal = scene.deal(*legs, condition=Confirmed(by=scene.account("B", shop)))
    start = SettlementStart(
        deal=deal, authorizations=tuple(scene.signed(deal, hanako, bank)), attestors=("alice", "bob"), threshold=2
    )

    async with build(engine, "1", Settlement):
        await make_current(engine, "1")
        handle = await engine.start_workflow("Settlement", start, id=deal.id, task_queue=QUEUE)
        await scene.reaches(deal, State.LOCKED)

    async with build(engine, "2", WithAStepMore):
        await make_current(engine, "2")
        await scene.stack.client.confirm(deal, shop)
        assert (await scene.ends(deal)).state is State.SETTLED

    history = await handle.fetch_history()
    builds = {
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    }
    assert {"1", "2"} <= builds
    timers = [event for event in history.events if event.HasField("timer_started_event_attributes")]
    assert len(timers) == 2  # decide_by, and the step more
