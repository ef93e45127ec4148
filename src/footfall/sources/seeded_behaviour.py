"""How the users of the seeded shop behave: personal habits, a skew to popular items, items bought together, and a shift at the end.

Generated, not observed: numpy only, the same rows for the same seed. Knows nothing of contracts or files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SECOND = 1_000_000
DAY = 86_400 * SECOND
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Behaviour:
    """Size and manners of the shop.

    Attributes:
        items: all items; the last `gifts` of them sell mostly after the shift, half of those never before it.
        fuel: item positions sold by volume, a thousand units a line.
        days_between_trips: mean of a gamma law.
        habits: items a user returns to; `habit_share` of the lines are such.
        gift_share: part of the lines after `shift_at` that go to gifts.
        bad_share: lines that no gate should let pass.
    """

    users: int = 300
    items: int = 400
    gifts: int = 40
    fuel: tuple[int, ...] = (0, 1, 2)
    days_between_trips: float = 9.0
    habits: int = 8
    habit_share: float = 0.6
    pair_share: float = 0.2
    gift_share: float = 0.5
    bad_share: float = 0.006


@dataclass(frozen=True)
class Line:
    """One event before it becomes a row; `item` is a position, -1 for an item that the catalogue does not have, None for none."""

    user: int
    trip: int
    kind: str
    at: int
    item: int | None
    quantity: int | None = None
    query_of: int | None = None


def simulate(behaviour: Behaviour, seed: int, start: int, end: int, shift_at: int) -> Iterator[Line]:
    """All lines with start <= at < end (microseconds), user after user."""
    rng = np.random.default_rng(seed)
    popularity = _popularity(behaviour)
    partner = rng.permutation(behaviour.items - behaviour.gifts)
    gifts = np.arange(behaviour.items - behaviour.gifts, behaviour.items)
    for user in range(behaviour.users):
        habits = rng.choice(behaviour.items, behaviour.habits, replace=False, p=popularity)
        weights = rng.dirichlet(np.full(behaviour.habits, 1.5))
        at, trip = start + int(rng.uniform(0, behaviour.days_between_trips) * DAY), 0
        while at < end:
            moment = at - at % DAY + _time_of_day(rng)
            if start + 3600 * SECOND <= moment < end:
                shifted = moment >= shift_at
                basket = _basket(rng, behaviour, habits, weights, popularity, partner, gifts if shifted else None)
                yield from _trip(rng, behaviour, (user, trip, moment), basket)
            at += int((1 + rng.gamma(4.0, (behaviour.days_between_trips - 1) / 4.0)) * DAY)
            trip += 1


def _popularity(behaviour: Behaviour) -> Weights:
    """Zipf over the ordinary items; of the gifts the first half sells a little, the second half not at all."""
    weights = 1.0 / (np.arange(behaviour.items) + 8.0)
    gifts, half = behaviour.items - behaviour.gifts, behaviour.items - behaviour.gifts // 2
    weights[gifts:half] *= 0.5
    weights[half:] = 0.0
    # Positions are shuffled against popularity, so that an item's number says nothing.
    weights[:gifts] = weights[:gifts][np.random.default_rng(0).permutation(gifts)]
    return np.asarray(weights / weights.sum(), np.float64)


def _time_of_day(rng: np.random.Generator) -> int:
    return int(np.clip(rng.normal(15.5, 3.0), 8.0, 21.9) * 3600) * SECOND


def _basket(
    rng: np.random.Generator, behaviour: Behaviour, habits: Any, weights: Weights, popularity: Weights, partner: Any, gifts: Any
) -> list[int]:
    chosen: list[int] = []
    for _ in range(1 + int(rng.poisson(3.0))):
        luck = rng.random()
        if gifts is not None and rng.random() < behaviour.gift_share:
            item = int(rng.choice(gifts))
        elif luck < behaviour.habit_share:
            item = int(rng.choice(habits, p=weights))
        elif chosen and luck < behaviour.habit_share + behaviour.pair_share and chosen[-1] < len(partner):
            item = int(partner[chosen[-1]])
        else:
            item = int(rng.choice(behaviour.items, p=popularity))
        if item not in chosen:
            chosen.append(item)
    return chosen


def _trip(rng: np.random.Generator, behaviour: Behaviour, when: tuple[int, int, int], basket: list[int]) -> Iterator[Line]:
    user, trip, at = when
    if rng.random() < 0.25:
        yield Line(user, trip, "search", at - 900 * SECOND, None, query_of=basket[0])
    for number, item in enumerate(basket):
        if rng.random() < 0.4:
            yield Line(user, trip, "view", at - (600 - 10 * number) * SECOND, item)
    for item in basket:
        fault = rng.random()
        quantity = 1000 + int(rng.integers(9000)) if item in behaviour.fuel else 1 + int(rng.geometric(0.7)) // 2
        if fault < behaviour.bad_share / 2:
            yield Line(user, trip, "purchase", at, item, 0)
        elif fault < behaviour.bad_share:
            yield Line(user, trip, "purchase", at, -1, quantity)
        else:
            yield Line(user, trip, "purchase", at, item, quantity)
