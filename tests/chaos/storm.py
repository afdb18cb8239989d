"""Deals, mandates and faults at the same time, until every deal and mandate has ended."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from connectionchain import Explanation
from connectionchain.billing import Bill
from connectionchain.errors import ConnectionChainError, Unavailable
from tests.chaos.deals import Played, Script, insist, play
from tests.chaos.faults import BY_KIND
from tests.chaos.mandates import MandateScript, Metered, end_mandate, play_mandate
from tests.chaos.proxy import Passing
from tests.chaos.schedule import Strike
from tests.chaos.world import World

T = TypeVar("T")
E = TypeVar("E", Explanation, Bill)


@dataclass
class Struck:
    """What became of a strike: Unix times, whether its moment came, what it hit, why it failed if it did."""

    strike: Strike
    began: float
    ended: float
    prompted: bool
    targets: tuple[str, ...]
    failure: str = ""


@dataclass
class Aftermath:
    """Everything there is to judge. `ends` are the engine's own words on each deal, and `bills` on each mandate,
    or the error it gave."""

    played: list[Played]
    metered: list[Metered]
    struck: list[Struck]
    ends: dict[str, Explanation | str] = field(default_factory=dict)
    bills: dict[str, Bill | str] = field(default_factory=dict)
    seconds: float = 0.0


async def storm(
    world: World,
    scripts: Sequence[Script],
    mandates: Sequence[MandateScript],
    strikes: Sequence[Strike],
    alertness: float,
    patience: float,
) -> Aftermath:
    """Plays everything. A strike whose moment does not come for `alertness` seconds strikes anyway: the damage is what
    counts. `patience` is how long (seconds) deals and mandates may take to end after the last fault."""
    began = time.monotonic()
    playing = [asyncio.create_task(_at(began + script.at, play(script, world))) for script in scripts]
    metering = [asyncio.create_task(play_mandate(script, world, began)) for script in mandates]
    striking = [asyncio.create_task(_at(began + each.at, _strike(each, world, alertness))) for each in strikes]
    after = Aftermath(
        metered=list(await asyncio.gather(*metering)),
        struck=list(await asyncio.gather(*striking)),
        played=list(await asyncio.gather(*playing)),
    )
    await ends(world, after, time.monotonic() + patience)
    after.seconds = time.monotonic() - began
    return after


async def _at(when: float, action: Coroutine[Any, Any, T]) -> T:
    """The action, begun at `when` (monotonic seconds)."""
    await asyncio.sleep(max(0.0, when - time.monotonic()))
    return await action


async def _strike(strike: Strike, world: World, alertness: float) -> Struck:
    rng = random.Random(strike.seed)
    passing = await world.proxy.next(strike.moment, alertness)
    prompted = passing is not None
    if passing is None:
        passing = Passing(f"{rng.choice(sorted(world.nodes))}/{rng.choice(sorted(world.network.chains))}")
    if passing.program not in world.nodes:  # a consumer's, or an attestor's look
        passing = Passing(f"{rng.choice(sorted(world.nodes))}/{passing.chain}", passing.go_on)
    began, failure = time.time(), ""
    fault = BY_KIND[strike.kind](world, passing, rng, passing.go_on.set)
    try:
        await fault.strike()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    passing.go_on.set()
    return Struck(strike, began, time.time(), prompted, tuple(fault.targets), failure)


async def ends(world: World, after: Aftermath, deadline: float) -> None:
    """What everybody says in the end."""
    client = world.client
    await asyncio.gather(*(end_mandate(each, world) for each in after.metered))
    deals, mandates = [each.deal.id for each in after.played], [each.mandate.id for each in after.metered]
    said = asyncio.gather(*(_end(id_, client.result, client.explain, deadline) for id_ in deals))
    billed = asyncio.gather(*(_end(id_, client.mandates.result, client.mandates.explain, deadline) for id_ in mandates))
    after.ends = dict(zip(deals, await said, strict=True))
    after.bills = dict(zip(mandates, await billed, strict=True))


async def _end(
    id_: str,
    result: Callable[[str, None], Awaitable[E]],
    explain: Callable[[str], Awaitable[E]],
    deadline: float,
) -> E | str:
    """The end; in words if it has not come in time, or not as it should."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(1.0, deadline - time.monotonic())):
            while True:
                try:
                    return await result(id_, None)
                except ConnectionChainError as error:
                    if not isinstance(error, Unavailable):
                        return f"{type(error).__name__}: {error}"
                    await asyncio.sleep(1)
    try:
        now = await insist(lambda: explain(id_))
    except ConnectionChainError as error:
        return str(error)
    return f"still {now.state}, waiting for {'; '.join(now.waiting_for)}: {now}"
