"""docs/writing-a-contract.md as written: a subscription that deliveries pay, and a deal that an event releases."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.worker import Worker

from connectionchain.settlement import SettlementStart
from tests.market import ATTESTORS, Market

PAGE = Path(__file__).parents[2] / "docs/writing-a-contract.md"
QUEUE = "newspapers"


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What these two sections define. The contract is a module of its own, as the workflow sandbox wants it."""
    *_, newspaper, on_delivery = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "newspaper.py").write_text(newspaper)
    monkeypatch.syspath_prepend(tmp_path)
    defined: dict[str, Any] = {}
    for each in (on_delivery, "from newspaper import Newspaper"):
        exec(each, defined)
    yield defined
    sys.modules.pop("newspaper", None)


async def test_newspaper__each_delivery_pays_for_one_issue(stack, scene, code) -> None:
    market = await Market.open(scene, issue=1)
    deliveries, reader, paper = await market.usage(), market.consumer, market.provider
    issues = []
    for _ in range(2):
        deal = scene.deal(scene.leg("A", reader, paper, 300))
        start = SettlementStart(
            deal=deal, authorizations=tuple(scene.signed(deal, reader)), attestors=ATTESTORS, threshold=2
        )
        issues.append(start)
    temporal, id_ = stack.client.engine.temporal, f"newspaper-{issues[0].deal.id}"
    async with Worker(temporal, task_queue=QUEUE, workflows=[code["Newspaper"]]):
        running = await temporal.start_workflow(
            "Newspaper", args=[deliveries, issues], id=id_, task_queue=QUEUE, result_type=list[str]
        )
        first = await market.use("issue")
        for _ in range(300):
            if await market.has() == [99_700, 300]:
                break
            await asyncio.sleep(0.1)
        assert await market.has() == [99_700, 300]
        second = await market.use("issue")
        assert await running.result() == [first["transactionHash"], second["transactionHash"]]
    assert await market.has() == [99_400, 600]


def test_on_delivery__waits_for_its_own_order(scene, stack, code) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    leg = scene.leg("A", "0x" + "aa" * 20, "0x" + "bb" * 20)
    terms = stack.network.chain("b").id, "0x" + "c0" * 20, "0x" + "0a" * 32, 7
    deal = code["on_delivery"](leg, *terms, now + timedelta(minutes=1), now + timedelta(minutes=5))
    assert deal.condition.filter.topics()[1] == "0x" + "0a" * 32
    assert deal.condition.count == 1
