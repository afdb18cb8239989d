"""The deals of a storm and what their parties do: seeded, like the faults."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectionchain import Cancellable, Confirmed, Deal, Leg, State
from connectionchain.client.signing import authorizations
from connectionchain.errors import AlreadyDecided, Refused, TooLate, Unavailable, UnknownName
from connectionchain.settlement import SettlementStart
from tests.chaos.world import World

SETTLE, CANCEL, TIME_OUT, THREE_PARTY, RECLAIM = KINDS = ("settle", "cancel", "time out", "three-party", "reclaim")
_WEIGHTS = (40, 20, 15, 15, 10)

EXPECTED = {
    SETTLE: {State.SETTLED},
    THREE_PARTY: {State.SETTLED},
    CANCEL: {State.REFUNDED, State.EXPIRED},
    TIME_OUT: {State.REFUNDED, State.EXPIRED},
    RECLAIM: {State.RECLAIMED, State.REFUNDED, State.EXPIRED},
}
"""How a deal of each kind may end: Expired if it was over before it began to lock. A deal to be settled has more time
than the storm, so faults are no excuse."""

AMPLE = timedelta(hours=1)
SHORT = timedelta(seconds=20)
NOBODY = ("alice", "nobody", "noone")
"""Attestors of which too few exist: such a deal ends by reclaim, after its expiry."""


@dataclass(frozen=True)
class Script:
    """One deal to be: its kind, when it starts and how long after that its parties act (seconds), who takes part."""

    number: int
    kind: str
    at: float
    act_after: float
    people: tuple[str, ...]
    amounts: tuple[int, ...]
    salt: str


@dataclass
class Played:
    """A deal that was started, and its problems in being played, if any."""

    script: Script
    deal: Deal
    started: float = field(default_factory=time.time)


def scripts(seed: int, number: int, span: float, people: Sequence[str], kinds: Sequence[str] = KINDS) -> list[Script]:
    """`number` deals over `span` seconds; each kind comes at least once if there are enough."""
    rng = random.Random(f"deals {seed}")
    weights = [_WEIGHTS[KINDS.index(kind)] for kind in kinds]
    drawn = [*kinds, *rng.choices(list(kinds), weights, k=max(0, number - len(kinds)))][:number]
    return [
        Script(
            number=n,
            kind=kind,
            at=span * n / number,
            act_after=rng.choice((0.0, 2.0, 5.0, 8.0, 12.0)),
            people=tuple(rng.sample(list(people), 3)),
            amounts=tuple(rng.randrange(1, 10_000) for _ in range(3)),
            salt="0x" + rng.randbytes(32).hex(),
        )
        for n, kind in enumerate(drawn)
    ]


def deal_of(script: Script, world: World) -> Deal:
    """The deal, decided within the time its kind needs from now."""
    chains = list(world.network.chains)
    rotated = [chains[(script.number + n) % len(chains)] for n in range(3)]
    one, two, three = script.people
    routes = [(rotated[0], one, two), (rotated[1], two, one)]
    if script.kind == THREE_PARTY:
        routes = [(rotated[0], one, two), (rotated[1], two, three), (rotated[2], three, one)]
    legs = tuple(
        _leg(world, chain, payer, payee, amount)
        for (chain, payer, payee), amount in zip(routes, script.amounts, strict=False)
    )
    now = datetime.now(UTC).replace(microsecond=0)
    decide_by = now + (SHORT if script.kind in (TIME_OUT, RECLAIM) else AMPLE)
    settling = timedelta(minutes=1) if script.kind == RECLAIM else AMPLE
    return Deal(
        legs=legs,
        condition=None if script.kind == THREE_PARTY else Confirmed(by=legs[1].payee),
        cancellable=Cancellable(by=(legs[0].payer,)),
        decide_by=decide_by,
        expiry=decide_by + settling,
        salt=script.salt,
        reference=f"chaos-{script.number}-{script.kind.replace(' ', '-')}",
    )


def _leg(world: World, chain: str, payer: str, payee: str, amount: int) -> Leg:
    token = world.network.token(chain.upper()).id
    accounts = [world.network.account(chain, world.devnet.keys[who].address) for who in (payer, payee)]
    return Leg(token=token, payer=accounts[0], payee=accounts[1], amount=amount)


async def play(script: Script, world: World) -> Played:
    """Starts the deal and lets its parties act, however often the engine has to be asked."""
    played = Played(script, deal_of(script, world))
    await insist(lambda: _start(played, world))
    await asyncio.sleep(script.act_after)
    one = world.devnet.keys[script.people[0]]
    if script.kind == SETTLE:
        await insist(lambda: world.client.confirm(played.deal, one))
    if script.kind == CANCEL:
        await insist(lambda: world.client.cancel(played.deal, one))
    return played


async def _start(played: Played, world: World) -> None:
    deal, attestors = played.deal, world.network.attestors
    keys = [world.devnet.keys[who] for who in played.script.people]
    payers = {leg.payer.address for leg in deal.legs}
    given = [each for key in keys if key.address.lower() in payers for each in authorizations(world.network, deal, key)]
    named = NOBODY if played.script.kind == RECLAIM else tuple(attestors.members)
    start = SettlementStart(deal=deal, authorizations=tuple(given), attestors=named, threshold=attestors.threshold)
    await world.client.engine.start(start, deal.reference)


async def insist(action: Callable[[], Awaitable[Any]]) -> Any:
    """Does it again while the engine is away. That it was done before is as good as done."""
    while True:
        try:
            return await action()
        except (AlreadyDecided, TooLate):
            return None
        except (Unavailable, UnknownName, Refused):
            await asyncio.sleep(1)
