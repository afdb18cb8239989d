"""docs/writing-a-contract.md as written: its contract sells one ticket to one of two buyers on two chains."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from temporalio.worker import Worker

from connectionchain.evidence import Kind

PAGE = Path(__file__).parents[2] / "docs/writing-a-contract.md"
PRICE = 500
QUEUE = "tickets"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's code defines. The contract is a module of its own, as the workflow sandbox wants it."""
    contract, offers, running, *_ = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(contract.splitlines()) < 60
    (tmp_path / "last_ticket.py").write_text(contract)
    monkeypatch.syspath_prepend(tmp_path)
    defined: dict[str, Any] = {}
    for each in (offers, running, "from last_ticket import LastTicket"):
        exec(each, defined)
    yield defined
    sys.modules.pop("last_ticket", None)


async def test_last_ticket__one_buyer_pays_and_the_other_has_everything_back(stack, page) -> None:
    client, temporal, venue = stack.client, stack.client.engine.temporal, stack.keys["bookstore"]
    offers = [
        page["offer"](client, "A", PRICE, stack.keys["hanako"], venue),
        page["offer"](client, "C", PRICE, stack.keys["taro"], venue),
    ]
    async with Worker(temporal, task_queue=QUEUE, workflows=[page["LastTicket"]]):
        winner = await page["sell"](temporal, QUEUE, offers)
    assert winner in {offer.deal.id for offer in offers}
    for offer in offers:
        (entry,) = (await client.record(offer.deal)).entries
        end = Kind.RELEASED if offer.deal.id == winner else Kind.REFUNDED
        assert [event.kind for event in entry.events] == [Kind.LOCKED, end]
        assert (entry.events[-1].paid, entry.events[-1].returned) == ((PRICE, 0) if end == "released" else (0, PRICE))
