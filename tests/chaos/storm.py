"""Deals and faults at the same time, until every deal has ended."""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from connectionchain import Explanation
from connectionchain.errors import ConnectionChainError, Unavailable
from tests.chaos.deals import Played, Script, insist, play
from tests.chaos.faults import BY_KIND
from tests.chaos.proxy import Passing
from tests.chaos.schedule import Strike
from tests.chaos.world import World

T = TypeVar("T")


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
    """Everything there is to judge. `ends` are the engine's own words on each deal, or the error it gave."""

    played: list[Played]
    struck: list[Struck]
    ends: dict[str, Explanation | str] = field(default_factory=dict)
    seconds: float = 0.0


async def storm(
    world: World, scripts: Sequence[Script], strikes: Sequence[Strike], alertness: float, patience: float
) -> Aftermath:
    """Plays everything. A strike whose moment does not come for `alertness` seconds strikes anyway: the damage is what
    counts. `patience` is how long (seconds) the deals may take to end after the last fault."""
    began = time.monotonic()
    playing = [asyncio.create_task(_at(began + script.at, play(script, world))) for script in scripts]
    striking = [asyncio.create_task(_at(began + each.at, _strike(each, world, alertness))) for each in strikes]
    after = Aftermath(struck=list(await asyncio.gather(*striking)), played=list(await asyncio.gather(*playing)))
    after.ends = await _ends(world, after.played, patience)
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
    began, failure = time.time(), ""
    fault = BY_KIND[strike.kind](world, passing, rng, passing.go_on.set)
    try:
        await fault.strike()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    passing.go_on.set()
    return Struck(strike, began, time.time(), prompted, tuple(fault.targets), failure)


async def _ends(world: World, played: Sequence[Played], patience: float) -> dict[str, Explanation | str]:
    deadline = time.monotonic() + patience
    found = await asyncio.gather(*(_end(world, each.deal.id, deadline) for each in played))
    return {each.deal.id: end for each, end in zip(played, found, strict=True)}


async def _end(world: World, deal: str, deadline: float) -> Explanation | str:
    """The deal's end; in words if it has not ended in time, or not as a deal should."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(1.0, deadline - time.monotonic())):
            while True:
                try:
                    return await world.client.result(deal, None)
                except ConnectionChainError as error:
                    if not isinstance(error, Unavailable):
                        return f"{type(error).__name__}: {error}"
                    await asyncio.sleep(1)
    try:
        now = await insist(lambda: world.client.explain(deal))
    except ConnectionChainError as error:
        return str(error)
    return f"still {now.state}, waiting for {'; '.join(now.waiting_for)}, because {now.reason or 'of nothing it said'}"
