"""What every extended smart contract gets from the kit."""

import asyncio
import secrets

from temporalio import workflow
from temporalio.client import WorkflowUpdateStage
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from workflows.kit import to_its_end


@workflow.defn
class Parting:
    """Ends as soon as somebody has spoken, or is spoken to by the engine's operator."""

    def __init__(self) -> None:
        self.spoken = self.cancelled = False

    @workflow.run
    async def run(self) -> str:
        return await to_its_end(self.live(), self.cancel)

    async def live(self) -> str:
        await workflow.wait_condition(lambda: self.spoken)
        return "cancelled" if self.cancelled else "spoken to"

    def cancel(self) -> None:
        self.cancelled = True

    @workflow.update
    async def speak(self) -> str:
        self.spoken = True
        await workflow.sleep(0.5)
        return "answer"


async def test_end__leaves_nobody_without_an_answer(scene) -> None:
    engine = scene.stack.client.engine.temporal
    queue = f"kit-{secrets.token_hex(4)}"
    async with Worker(engine, task_queue=queue, workflows=[Parting]):
        handle = await engine.start_workflow(Parting.run, id=queue, task_queue=queue)
        answer = asyncio.create_task(handle.execute_update(Parting.speak))
        assert await asyncio.gather(answer, handle.result()) == ["answer", "spoken to"]


async def test_cancellation__while_the_last_answer_is_given_breaks_nothing_off(scene) -> None:
    engine = scene.stack.client.engine.temporal
    queue = f"kit-{secrets.token_hex(4)}"
    async with Worker(engine, task_queue=queue, workflows=[Parting]):
        handle = await engine.start_workflow(Parting.run, id=queue, task_queue=queue)
        answer = await handle.start_update(Parting.speak, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        await handle.cancel()
        assert await asyncio.gather(answer.result(), handle.result()) == ["answer", "spoken to"]
