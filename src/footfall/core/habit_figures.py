"""What is said of a user and an item of that user's own history, a pair: how often and how lately, the rhythm, the item's group, the item itself.

Decays in days and in baskets are those of TIFU-kNN (Hu et al., SIGIR 2020); the time since the last purchase beside the usual interval is what
ReCANet (Ariannezhad et al., SIGIR 2022) finds the next basket in. All ages are counted from the user's newest purchase: asking the same history later
changes nothing, and no other user's history is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.core.baselines import purchases
from footfall.core.metrics import Float64
from footfall.core.sequences import DAY_US, Int32, Int64, Sequences

Float32 = npt.NDArray[np.float32]

DAYS = (3, 7, 14, 30, 60, 90, 180, 365)
"""Half-lives of a purchase, in days."""
BASKETS = (1, 2, 4, 8, 16)
"""Half-lives of a purchase, in the user's own baskets."""
RECENT_DAYS = (7, 28, 90)
"""Windows in which an item's purchases by everybody are counted."""
LEVELS = 2
"""Groups that an item belongs to: its category, and the category above."""
TRAITS = 4
"""Lasting figures an item: see `fit_traits`."""
_USER = 4
_RHYTHM = 7
_OWN = len(DAYS) + len(BASKETS) + 5 + _RHYTHM
_GROUP = 2 + 1 + _RHYTHM + 2
FIGURES = _OWN + _USER + LEVELS * _GROUP + TRAITS + len(RECENT_DAYS)
"""Figures a pair, in this order: of the own item, of the user, of each level of groups, of the item."""
RECENCY_AND_FREQUENCY = _OWN + _USER
"""How many of them, from the first, are of the user's own purchases of the item alone."""

_FAINT = 0.01  # keeps the logarithm of a decayed count finite
_ONCE = -1.0  # an interval that is not there yet


@dataclass(frozen=True)
class ItemFacts:
    """What is known of V items.

    Attributes:
        traits: (V, TRAITS) from `fit_traits`.
        recent: (V, 3) log(1 + purchases) in the last RECENT_DAYS.
        groups: (V, LEVELS) group of each item at each level, from 0; an item without a category is a group of its own.
    """

    traits: Float32
    recent: Float32
    groups: Int32


@dataclass(frozen=True)
class Pairs:
    """Users with each item that they bought, by user and then item.

    Attributes:
        owners: (N,) position of the user.
        columns: (N,) item_index - 1.
        figures: (N, FIGURES) float32.
    """

    owners: Int64
    columns: Int64
    figures: Float32


@dataclass(frozen=True)
class Baskets:
    """Who bought what together, each item once a basket.

    Attributes:
        owner: (L,) user of each line; lines are in order of user, basket, item.
        number: (L,) number of its basket, counted through all users.
        column: (L,) item_index - 1.
        moment: (L,) microseconds.
        first: (U + 1,) number of each user's first basket, and the end.
        moments: (B,) moment of each basket.
        lines: (B,) distinct items a basket.
    """

    owner: Int64
    number: Int64
    column: Int64
    moment: Int64
    first: Int64
    moments: Int64
    lines: Int64


def baskets(history: Sequences) -> Baskets:
    """The baskets of all users: what was bought at one moment, known items alone."""
    bought = purchases(history)
    owners = bought.owners
    begins = np.ones(len(owners), dtype=np.bool_)
    begins[1:] = (owners[1:] != owners[:-1]) | (bought.occurred_at[1:] != bought.occurred_at[:-1])
    width = int(bought.item_index.max(initial=0)) + 1
    lines = np.unique((np.cumsum(begins) - 1) * width + bought.item_index)
    number, column = lines // width, lines % width - 1
    owner, moment = owners[begins], bought.occurred_at[begins]
    first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(history)))])
    return Baskets(owner[number], number, column, moment[number], first, moment, np.bincount(number, minlength=len(owner)))


@dataclass(frozen=True)
class _Runs:
    """Lines of equal (user, thing), oldest first: where each run begins, and the age of each line in days and in baskets."""

    keys: Int64
    starts: Int64
    lengths: Int64
    days: Float64
    baskets: Float64

    def decayed(self, age: Float64, half_lives: tuple[int, ...]) -> list[Float64]:
        """log(a little + purchases, each counting half as much after each half-life)."""
        return [np.log(_FAINT + np.add.reduceat(np.exp2(-age / half), self.starts)) for half in half_lives]

    def rhythm(self) -> list[Float64]:
        """Since the last and since the first (baskets too), mean interval, and the last over the mean: in days, logarithms."""
        ends = self.starts + self.lengths - 1
        since, first = self.days[ends], self.days[self.starts]
        behind, begun = self.baskets[ends], self.baskets[self.starts]
        between = np.maximum(self.lengths - 1, 1)
        gap, steps = (first - since) / between, (begun - behind) / between
        once = self.lengths == 1
        ratios = [since / np.maximum(gap, 0.5), behind / np.maximum(steps, 0.5)]
        logs = [np.log1p(since), np.log1p(behind), np.log1p(first)]
        return logs + [np.where(once, _ONCE, np.log1p(values)) for values in (gap, steps, *ratios)]


def _runs(found: Baskets, things: Int64, width: int) -> _Runs:
    """Runs of one thing (an item, or a group of items) of one user; a thing stands once a basket."""
    key = found.owner * width + things
    order = np.lexsort((found.number, key))
    key, number = key[order], found.number[order]
    fresh = np.ones(len(key), dtype=np.bool_)
    fresh[1:] = (key[1:] != key[:-1]) | (number[1:] != number[:-1])
    key, number = key[fresh], number[fresh]
    newest = found.first[1:][key // width] - 1
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    lengths = np.diff(np.concatenate([starts, [len(key)]]))
    return _Runs(key[starts], starts, lengths, (found.moments[newest] - found.moments[number]) / DAY_US, (newest - number).astype(np.float64))


def describe(history: Sequences, facts: ItemFacts) -> Pairs:
    """Every user with each item of the own history, described.

    Args:
        history: U users' events before the moment of asking.
        facts: of all items.
    """
    found = baskets(history)
    width = len(facts.traits)
    if not len(found.owner):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, FIGURES), np.float32))
    own = _runs(found, found.column, width)
    owners, columns = own.keys // width, own.keys % width
    figures = np.empty((len(owners), FIGURES), np.float32)
    blocks = [*_own_figures(own, found, owners), *_user_figures(found, owners)]
    quarter = own.decayed(own.days, (DAYS[5],))[0]
    for level in range(LEVELS):
        blocks += _group_figures(found, facts.groups[:, level].astype(np.int64), owners, columns, quarter)
    for column, values in enumerate(blocks):
        figures[:, column] = values
    figures[:, len(blocks) : len(blocks) + TRAITS] = facts.traits[columns]
    figures[:, len(blocks) + TRAITS :] = facts.recent[columns]
    return Pairs(owners, columns, figures)


def _own_figures(own: _Runs, found: Baskets, owners: Int64) -> list[Float64]:
    """How often, how lately and how evenly."""
    seen = np.diff(found.first)[owners]
    ends = own.starts + own.lengths - 1
    last = np.where(own.lengths == 1, _ONCE, np.log1p(np.maximum(own.days[np.maximum(ends - 1, 0)] - own.days[ends], 0)))
    gaps = np.zeros(len(own.days))
    gaps[1:] = own.days[:-1] - own.days[1:]
    gaps[own.starts] = 0
    between = np.maximum(own.lengths - 1, 1)
    spread = np.add.reduceat(gaps**2, own.starts) / between - (np.add.reduceat(gaps, own.starts) / between) ** 2
    return [
        *own.decayed(own.days, DAYS),
        *own.decayed(own.baskets, BASKETS),
        *own.rhythm(),
        np.log1p(own.lengths),
        np.log(own.lengths / seen + _FAINT / 2),
        np.log(own.lengths / (own.baskets[own.starts] + 1) + _FAINT / 2),
        last,
        np.where(own.lengths == 1, _ONCE, np.log1p(np.sqrt(np.maximum(spread, 0)))),
    ]


def _user_figures(found: Baskets, owners: Int64) -> list[Float64]:
    """Baskets, items a basket, days from the first to the newest, days a basket."""
    count = np.diff(found.first)
    filled = count > 0
    span, size = np.zeros(len(count)), np.zeros(len(count))
    span[filled] = (found.moments[found.first[1:][filled] - 1] - found.moments[found.first[:-1][filled]]) / DAY_US
    size[filled] = np.add.reduceat(found.lines, found.first[:-1][filled]) / count[filled]
    pace = np.where(count > 1, np.log1p(span / np.maximum(count - 1, 1)), _ONCE)
    return [values[owners] for values in (np.log1p(count), np.log1p(size), np.log1p(span), pace)]


def _group_figures(found: Baskets, groups: Int64, owners: Int64, columns: Int64, quarter: Float64) -> list[Float64]:
    """The same of the item's group, how many of its items the user knows, and how much of it is this one."""
    width = int(groups.max()) + 1
    runs = _runs(found, groups[found.column], width)
    place = np.searchsorted(runs.keys, owners * width + groups[columns])
    shared = runs.decayed(runs.days, (DAYS[2], DAYS[5]))
    values = [*shared, *runs.decayed(runs.baskets, (BASKETS[2],)), *runs.rhythm(), np.log1p(np.bincount(place, minlength=len(runs.keys)))]
    return [*(value[place] for value in values), quarter - shared[1][place]]
