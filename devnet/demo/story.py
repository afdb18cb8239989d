"""The paper's story (section 5.1): Hanako buys a book with currency A at bookstore X, which takes currency B."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectionchain.client import Client
from connectionchain.client.amounts import shown
from connectionchain.deal import Deal
from connectionchain.settlement import Explanation, State
from devnet.demo.results import Moment, Purchase
from devnet.demo.stage import Stage

PRICE = "10 B"
AFTER_THOUGHT = timedelta(seconds=1)
POLL_SECONDS = 0.2

Tell = Callable[["Chapter", Deal, Moment, Explanation], None]


@dataclass(frozen=True)
class Chapter:
    """One purchase: what the shop does about it, and how it must end."""

    title: str
    decide_within: timedelta
    ends: State
    says: str = ""
    answer: Callable[..., Awaitable[Any]] | None = None


CONFIRMED = Chapter(
    "The shop confirms", timedelta(minutes=2), State.SETTLED, "the bookstore has the book and confirms", Client.confirm
)
SOLD_OUT = Chapter("Sold out", timedelta(minutes=2), State.REFUNDED, "sold out: the bookstore cancels", Client.cancel)
UNANSWERED = Chapter("Nobody answers", timedelta(seconds=20), State.REFUNDED)
CHAPTERS = (CONFIRMED, SOLD_OUT, UNANSWERED)


async def play_all(stage: Stage, tell: Tell) -> tuple[Purchase, ...]:
    """The third purchase waits for its deadline while the first two are made."""

    async def answered() -> tuple[Purchase, Purchase]:
        return await play(stage, CONFIRMED, tell), await play(stage, SOLD_OUT, tell)

    two, third = await asyncio.gather(answered(), play(stage, UNANSWERED, tell))
    return *two, third


async def play(stage: Stage, chapter: Chapter, tell: Tell) -> Purchase:
    client, shop = stage.client, stage.keys["bookstore"]
    started, moments = datetime.now(UTC), list[Moment]()
    quote = await client.quote("A", PRICE)
    deal = await client.pay(quote, stage.keys["hanako"], shop.address, decide_within=chapter.decide_within)

    def note(now: Explanation, **what: Any) -> None:
        moments.append(Moment(after=round((datetime.now(UTC) - started).total_seconds(), 1), **what))
        tell(chapter, deal, moments[-1], now)

    last, answer = await client.explain(deal), chapter.answer
    note(last, said=f"Hanako signs once: {_amounts(stage, deal)}")
    note(last, state=last.state)
    async for now in client.follow(deal, POLL_SECONDS):
        for what in _news(stage, last, now):
            note(now, **what)
        last = now
        if answer and now.state is State.LOCKED:
            await asyncio.sleep(AFTER_THOUGHT.total_seconds())
            note(now, said=chapter.says)
            await answer(client, deal, shop)
            answer = None
    return await _purchase(stage, chapter, deal, last, quote=quote, moments=tuple(moments))


def _amounts(stage: Stage, deal: Deal) -> str:
    """Such as `8.09 A for 10.00 B`."""
    return " for ".join(shown(stage.network, leg.token, leg.amount) for leg in deal.legs)


def _news(stage: Stage, last: Explanation, now: Explanation) -> list[dict[str, Any]]:
    """What `now` tells that `last` did not, in the order in which it happened."""
    steps: list[dict[str, Any]] = [{"step": step} for step in now.steps[len(last.steps) :]]
    news = [*steps, {"state": now.state}] if now.state is not last.state else steps
    if now.certificate and not last.certificate:
        signed = {"said": f"{stage.signers(now.certificate)} sign the {now.certificate.outcome}"}
        news.insert(0 if now.state.terminal else len(news), signed)
    return news


async def _purchase(stage: Stage, chapter: Chapter, deal: Deal, end: Explanation, **told: Any) -> Purchase:
    return Purchase(
        title=chapter.title,
        expected=chapter.ends,
        state=end.state,
        reason=end.reason,
        deal_id=deal.id,
        deal=deal,
        record=await stage.client.record(deal),
        **told,
    )
