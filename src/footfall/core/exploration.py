"""Slates that try something: which positions are drawn anew, and exactly how likely each item was to stand where it stands.

The candidates stand on numbered places, best first; the first k places are the slate. From the first position that may explore on, each position
in turn is exchanged, with the chance `rate`, with a place drawn from those that take part: the exploring positions themselves and the `pool`
places after the slate. An exchange never shows an item twice, touches no protected position, and moves what was displaced down instead of losing it.

Why this scheme: the place to exchange with is drawn from a law fixed by the ranking, whatever was drawn before. The exchanges are therefore
independent random permutations, and the expectation of a product of independent random matrices is the product of their expectations. So the
chance that an item stands at a position is an entry of a product of small known matrices: exact, without simulation, with a softmax over scores as
with a uniform law. Draws without replacement one after another (Plackett-Luce) have no such form beyond the first position. And every item
that takes part has a chance at every exploring position, so that another order of the same items can be judged too, not only newcomers.

What is logged is the marginal by position, which the item-position estimators of `core.offpolicy` need (Li et al. 2018, "Offline evaluation of
ranking policies with click models"); it is not the chance of the whole slate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import numpy as np

from footfall.core.logistic import softmax
from footfall.core.metrics import Bools, Float64
from footfall.core.sequences import Int32, Int64


@dataclass(frozen=True)
class Exploration:
    """What may be drawn on a slate. The default draws nothing.

    Attributes:
        rate: chance that a position is exchanged, 0 to 1; the expected share of exploring positions that are.
        first: first position that may explore; those above it are protected (1 is the top).
        pool: how many candidates after the slate take part.
        temperature: of the softmax over scores by which a place is drawn, in units of score; None draws uniformly.

    Raises:
        ValueError: a number is out of bounds.
    """

    rate: float = 0.0
    first: int = 3
    pool: int = 20
    temperature: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"rate is from 0 to 1, found {self.rate}")
        if self.first < 1 or self.pool < 0:
            raise ValueError(f"first is 1 or more and pool 0 or more, found {self.first} and {self.pool}")
        if self.temperature is not None and not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is above 0 or None, found {self.temperature}")


class Drawn(NamedTuple):
    """One slate: `items` (k,) item indices from the top, and `propensities` (k,), the chance of each to stand where it does."""

    items: Int64
    propensities: Float64


@dataclass(frozen=True)
class Placements:
    """What one policy could have shown for one request.

    Attributes:
        items: (M,) the item indices that can stand on the slate.
        chances: (k, M) chance that position 1, 2, ... holds the item; each row sums to 1.
    """

    items: Int64
    chances: Float64

    def of(self, items: Int32 | Int64) -> Float64:
        """(k,) chance that this policy puts items[j] at position j + 1; 0 for an item that it never shows. `items` is (k,)."""
        wanted = np.asarray(items)[:, None] == self.items
        return np.asarray(np.where(wanted, self.chances, 0.0).sum(axis=1))

    def covered_by(self, logging: Placements) -> Float64:
        """(k,) share of this policy's chances at each position that fall on items which `logging` could have shown there.

        Raises:
            ValueError: the two are of different lengths.
        """
        if len(self.chances) != len(logging.chances):
            raise ValueError(f"policies differ in positions: {len(self.chances)} and {len(logging.chances)}")
        possible = np.array([np.isin(self.items, logging.items[row > 0]) for row in logging.chances]).reshape(self.chances.shape)
        return np.asarray(np.where(possible, self.chances, 0.0).sum(axis=1))


def request_stream(request_id: str) -> np.random.Generator:
    """The random numbers of one request: the same id gives the same, so that a logged slate can be drawn again."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(sha256(request_id.encode()).digest()[:16], "big")))


def explore(items: Int32 | Int64, scores: Float64, k: int, exploration: Exploration, random: np.random.Generator, held: Bools | None = None) -> Drawn:
    """One slate of k positions (fewer where there are fewer candidates), with exact propensities; 1.0 where nothing can change.

    Args:
        items: (N,) candidates in the order they would be shown; the first k + pool are looked at, and none of these twice.
        scores: (N,) of the same; read only with a temperature.
        k: positions.
        exploration: what may be drawn.
        random: of this request, as `request_stream` gives it. Two numbers are taken for each exploring position, none with rate 0.
        held: (k,) positions that must keep their item, as one that is pinned; None for none.

    Raises:
        ValueError: k below 1, a candidate that comes twice, scores or `held` that do not fit, a score that is not finite.
    """
    law = _law(items, scores, k, exploration, held)
    order, propensities = np.arange(len(law.items)), np.ones(law.k)
    if law.opened:
        luck = random.random((law.opened, 2))
        others = law.places[np.minimum(np.searchsorted(law.cumulative, luck[:, 1], side="right"), law.last)]
        for number in np.flatnonzero(luck[:, 0] < exploration.rate):
            place, other = law.places[number], others[number]
            order[place], order[other] = order[other], order[place]
        exploring = law.places[: law.opened]
        propensities[exploring] = law.chances[np.arange(law.opened), law.column[order[exploring]]]
    return Drawn(law.items[order[: law.k]], propensities)


def placements(items: Int32 | Int64, scores: Float64, k: int, exploration: Exploration, held: Bools | None = None) -> Placements:
    """The chance of every candidate at every position, under the scheme by which `explore` draws; with rate 0 the slate itself, for certain.

    It is what judges another policy: its row at a logged position says how likely that policy would have shown the logged item there.

    Raises:
        ValueError: as in `explore`.
    """
    law = _law(items, scores, k, exploration, held)
    chances = np.eye(law.k, len(law.items))
    if law.opened:
        chances[np.ix_(law.places[: law.opened], law.places)] = law.chances
    return Placements(law.items, chances)


class _Law(NamedTuple):
    """What one request is drawn from.

    Attributes:
        items: (M,) candidates that are looked at.
        k: positions.
        places: (P,) places that take part, the exploring positions first.
        opened: number of these positions.
        cumulative: (P,) running sums of the chances to be drawn for an exchange; the last one with a chance is number `last`.
        chances: (opened, P) of the item that was ranked on a place to end on an exploring position.
        column: (M,) where in `places` a place stands.
    """

    items: Int64
    k: int
    places: Int64
    opened: int
    cumulative: Float64
    last: int
    chances: Float64
    column: Int64


def _law(items: Int32 | Int64, scores: Float64, k: int, exploration: Exploration, held: Bools | None) -> _Law:
    if k < 1 or len(scores) != len(items):
        raise ValueError(f"k is 1 or more, and every candidate has a score; found {k}, {len(items)} candidates and {len(scores)} scores")
    if held is not None and len(held) != k:
        raise ValueError(f"held says something of each of {k} positions, found {len(held)}")
    looked_at = np.asarray(items[: k + exploration.pool], np.int64)
    if len(np.unique(looked_at)) != len(looked_at):
        raise ValueError("a candidate comes twice")
    k = min(k, len(looked_at))
    places = np.arange(min(exploration.first - 1, k), len(looked_at))
    if held is not None:
        places = places[(places >= k) | ~np.asarray(held[:k], np.bool_)[np.minimum(places, k - 1)]]
    opened = int((places < k).sum())
    if not exploration.rate or not opened:
        return _Law(looked_at, k, places, 0, np.empty(0), 0, np.empty((0, 0)), np.empty(0, np.int64))
    if exploration.temperature is None:
        weights = np.full(len(places), 1 / len(places))
        chances = _uniform_chances(exploration.rate, opened, len(places))
    else:
        if not np.isfinite(scores[places]).all():
            raise ValueError("scores of candidates that take part must be finite")
        weights = softmax(np.asarray(scores, np.float64)[None, places] / exploration.temperature)[0]
        chances = _chances(exploration.rate, opened, weights)
    column = np.zeros(len(looked_at), np.int64)
    column[places] = np.arange(len(places))
    cumulative = np.cumsum(weights)
    return _Law(looked_at, k, places, opened, cumulative / cumulative[-1], int(np.flatnonzero(weights)[-1]), chances, column)


def _chances(rate: float, opened: int, weights: Float64) -> Float64:
    """(opened, P) chance that the item of each place ends on each exploring position: the product of the exchanges' expectations.

    The exchange of place j is expected to leave row j with (1 - rate) of itself and rate times the weighted mean of all rows, and to take
    rate * w_q from every other row q for row j.
    """
    rows = np.eye(len(weights))
    for place in range(opened):
        moved = rows + rate * weights[:, None] * (rows[place] - rows)
        moved[place] = (1 - rate) * rows[place] + rate * (weights @ rows)
        rows = moved
    return np.minimum(rows[:opened], 1.0)


@lru_cache(maxsize=256)
def _uniform_chances(rate: float, opened: int, places: int) -> Float64:
    chances = _chances(rate, opened, np.full(places, 1 / places))
    chances.setflags(write=False)
    return chances
