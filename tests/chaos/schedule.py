"""Which fault strikes when: everything that is drawn is drawn from one seed, so that a storm can be had again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product

from tests.chaos.proxy import POINTS, VERBS, Moment


@dataclass(frozen=True)
class Strike:
    """From `at` seconds on, fault `kind` waits for `moment`, and strikes. `seed` is for what it draws itself."""

    number: int
    kind: str
    moment: Moment
    at: float
    seed: int


def strikes(seed: int, number: int, kinds: Sequence[str], gap: float, verbs: Sequence[str] = VERBS) -> list[Strike]:
    """`number` strikes, `gap` seconds apart. Every kind comes once before any comes twice, and in as many rounds
    as there are moments each kind has struck at each of them."""
    rng = random.Random(f"strikes {seed}")
    moments = [Moment(verb, point) for verb, point in product(verbs, POINTS)]
    rng.shuffle(moments)
    order: list[tuple[str, Moment]] = []
    for turn in count():
        if len(order) >= number:
            break
        shuffled = rng.sample(list(kinds), len(kinds))
        order += [(kind, moments[(list(kinds).index(kind) + turn) % len(moments)]) for kind in shuffled]
    return [Strike(n, kind, moment, gap * n, rng.getrandbits(32)) for n, (kind, moment) in enumerate(order[:number])]
