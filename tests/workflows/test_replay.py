"""Deals and mandates on their way survive a new version of their workflow: each history that was recorded replays."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workflows.billing import Billing
from workflows.settlement import Settlement

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
ENDS = {
    "settled", "cancelled", "late", "unlockable", "expired", "reclaimed", "forged_then_true", "engine_cancelled",
    "billed", "recounted",
}  # fmt: skip


def read(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def replayer() -> Replayer:
    return Replayer(workflows=[Settlement, Billing], data_converter=pydantic_data_converter)


def test_histories__of_every_end_are_there() -> None:
    assert {path.stem for path in HISTORIES} >= ENDS


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_replay__of_a_recorded_history(path: Path) -> None:
    history = read(path)
    assert len(history.events) > 5
    await replayer().replay_workflow(history)


async def test_replay__notices_a_history_that_does_not_fit() -> None:
    """A refund's history cannot have come from a deal without its cancellation."""
    path = next(each for each in HISTORIES if each.stem == "cancelled")
    events = json.loads(path.read_text())["events"]
    without = [each for each in events if "UPDATE" not in each["eventType"]]
    bent = WorkflowHistory.from_json(path.stem, json.dumps({"events": without}))
    with pytest.raises(Exception, match=r"(?i)nondetermin|history|event"):
        await replayer().replay_workflow(bent)
