"""What the simulated shop sells: items with a hidden nature, a price, a popularity, a day of arrival, and days out of stock.

Items are kept in the order of their types, so that the items of a type, or of a category, are neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from footfall.sources.simulator.draws import Bools, Float32, Float64, Int64, stream, unit
from footfall.sources.simulator.scenario import NEVER, Scenario
from footfall.sources.simulator.words import ADJECTIVES, BRANDS, CATEGORIES, CATEGORY_PRICES, SHELVES

DIMENSIONS = 8
"""Of the hidden space in which tastes and items lie."""

STOCK_BLOCK = 32
"""Days for which stock-outs are drawn together; none reaches beyond its block."""

_GOES = 0.4  # of the items, with an assortment change
_OUT_OF_STOCK = 0.2  # of the items, at some time in a block
_NEW_PULL, _NEW_DAYS = 2.0, 10.0


@dataclass(frozen=True)
class Assortment:
    """All items, the N ordinary ones first, then those that an assortment change brings.

    Attributes:
        number: (N,) the number in an item's id, which says nothing of its type.
        type: (N,) index into `words.TYPES`.
        language: (N,) of the title: 0 Chinese, 1 English, 2 both.
        vectors: (N, D) hidden nature, length one.
        centres: (categories, D) hidden nature of a category.
        quality: (N,) what everybody thinks of it (logit).
        popularity: (N,) weight with which pages show it.
        price: (N,) whole yuan, less ten fen, in fen.
        dearness: (N,) logarithm of its price over that of its type.
        arrives, goes: (N,) first day on the shelf, and the day after the last.
        starts: (types + 1,) items of type t are starts[t]:starts[t + 1].
    """

    seed: int
    number: Int64
    type: Int64
    adjective: Int64
    brand: Int64
    language: Int64
    vectors: Float32
    centres: Float32
    quality: Float32
    popularity: Float64
    price: Int64
    dearness: Float32
    arrives: Int64
    goes: Int64
    starts: Int64
    _stock: dict[int, tuple[Int64, Int64]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """N."""
        return len(self.type)

    @property
    def category(self) -> Int64:
        """(N,) index into `words.CATEGORIES`."""
        return self.type // SHELVES

    def on_shelf(self, day: int) -> Bools:
        """(N,) whether an item can be shown and bought on a day."""
        begins, length = _stock_outs(self.seed, len(self), day // STOCK_BLOCK)
        at = day % STOCK_BLOCK
        out = (begins <= at) & (at < begins + length)
        return np.asarray((self.arrives <= day) & (day < self.goes) & ~out)

    def pull(self, day: int) -> Float64:
        """(N,) weight with which the pages of a day show an item: popularity, more while it is new, nothing off the shelf."""
        age = np.clip(day - self.arrives, 0, 1000)
        return np.asarray(np.where(self.on_shelf(day), self.popularity * (1.0 + _NEW_PULL * np.exp(-age / _NEW_DAYS)), 0.0))


@lru_cache(maxsize=8)
def _stock_outs(seed: int, items: int, block: int) -> tuple[Int64, Int64]:
    """(N,) day of the block on which an item runs out, and for how many days (0: it does not)."""
    rng = stream(seed, "stock", block)
    out = rng.random(items) < _OUT_OF_STOCK
    return rng.integers(0, STOCK_BLOCK, items), np.where(out, rng.integers(2, 9, items), 0)


def build_assortment(scenario: Scenario) -> Assortment:
    """The items of a scenario."""
    rng = stream(scenario.seed, "items")
    reserve = max(scenario.items // 8, 2 * SHELVES)
    total = scenario.items + reserve
    ordinary = (len(CATEGORIES) - 1) * SHELVES
    kinds = np.sort(np.concatenate([_spread(rng, scenario.items, 0, ordinary), _spread(rng, reserve, ordinary, ordinary + SHELVES)]))
    centres = unit(rng.normal(size=(len(CATEGORIES), DIMENSIONS)))
    shelves = unit(rng.normal(size=(len(CATEGORIES) * SHELVES, DIMENSIONS)))
    nature = 0.7 * centres[kinds // SHELVES] + 0.4 * shelves[kinds] + 0.5 * unit(rng.normal(size=(total, DIMENSIONS)))
    price, dearness = _prices(rng, kinds)
    arrives, goes = _shelf_life(rng, scenario, total)
    popularity = rng.lognormal(0.0, 0.9, total)
    popularity[scenario.items :] *= 4.0  # a change that nobody sees would be none
    return Assortment(
        seed=scenario.seed,
        number=_numbers(rng, scenario.items, reserve),
        type=kinds,
        adjective=rng.integers(0, len(ADJECTIVES), total),
        brand=rng.integers(0, len(BRANDS), total),
        language=rng.integers(0, 3, total),
        vectors=unit(nature),
        centres=centres,
        quality=rng.normal(0.0, 0.4, total).astype(np.float32),
        popularity=popularity,
        price=price,
        dearness=dearness,
        arrives=arrives,
        goes=goes,
        starts=np.searchsorted(kinds, np.arange(len(CATEGORIES) * SHELVES + 1)),
    )


def _spread(rng: np.random.Generator, items: int, low: int, high: int) -> Int64:
    """Types of `items` items, at least one each."""
    return np.concatenate([np.arange(low, high), rng.integers(low, high, items - (high - low))])


def _numbers(rng: np.random.Generator, items: int, reserve: int) -> Int64:
    return np.concatenate([rng.permutation(items), items + rng.permutation(reserve)])


def _prices(rng: np.random.Generator, kinds: Int64) -> tuple[Int64, Float32]:
    usual = np.log(np.asarray(CATEGORY_PRICES, np.float64).repeat(SHELVES)) + rng.normal(0.0, 0.3, len(CATEGORY_PRICES) * SHELVES)
    dearness = rng.normal(0.0, 0.35, len(kinds))
    yuan = np.maximum(np.rint(np.exp(usual[kinds] + dearness)), 2.0)
    return (yuan * 100).astype(np.int64) - 10, dearness.astype(np.float32)


def _shelf_life(rng: np.random.Generator, scenario: Scenario, total: int) -> tuple[Int64, Int64]:
    """Two thirds of the items are there on the first day; the others come one by one; the last ones come with an assortment change."""
    first, last = scenario.first_day, scenario.last_day
    arrives = np.where(rng.random(total) < 0.67, first - rng.integers(1, 400, total), rng.integers(first, last, total))
    arrives[scenario.items :] = scenario.drift_day("assortment_change")
    goes = np.full(total, NEVER)
    leaving = stream(scenario.seed, "assortment").random(total) < _GOES
    goes[leaving] = scenario.drift_day("assortment_change")
    goes[scenario.items :] = NEVER
    return arrives, np.maximum(goes, arrives)
