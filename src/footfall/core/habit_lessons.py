"""What habits are learnt from: baskets of the past, each with what its user had bought before, and what everybody's purchases say of an item.

A lesson is a user and the moment of one of that user's baskets. Its pairs are described from earlier events alone, and an item's recent purchases are
counted up to a week before, as when the network serves; `fit_traits` alone sees all of the training time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footfall.core.baselines import purchases
from footfall.core.habit_figures import RECENT_DAYS, Float32, ItemFacts, Pairs, baskets, describe
from footfall.core.metrics import Bools
from footfall.core.sequences import DAY_US, Int32, Int64, Sequences

WEEK_US = 7 * DAY_US
_CHUNK = 1024
_SURE_BASKETS, _SURE_BUYERS = 20.0, 5.0
"""How many baskets and buyers of its own an item needs to count as much as all other items together."""


@dataclass(frozen=True)
class Lessons:
    """Pairs of L lessons.

    Attributes:
        pairs: `owners` are the numbers of the lessons, 0 to L - 1, ascending; every lesson has a hit and a miss.
        hit: (N,) whether the item is in the basket.
    """

    pairs: Pairs
    hit: Bools

    def __len__(self) -> int:
        """L."""
        return int(self.pairs.owners[-1]) + 1 if len(self.hit) else 0


def fit_traits(history: Sequences, items: int) -> Float32:
    """(V, 4) log of how often an item is bought again a basket, share of its buyers who did, log days between, log buyers.

    An item with few buyers is drawn towards the mean of all.
    """
    found = baskets(history)
    key = found.owner * items + found.column
    order = np.lexsort((found.number, key))
    key, number, moment = key[order], found.number[order], found.moment[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    item, owner = key[starts] % items, key[starts] // items
    times = np.diff(np.concatenate([starts, [len(key)]]))
    chances = found.first[owner + 1] - 1 - number[starts]
    again, asked = np.bincount(item, weights=times - 1, minlength=items), np.bincount(item, weights=chances, minlength=items)
    buyers, kept = np.bincount(item, minlength=items), np.bincount(item, weights=times > 1, minlength=items)
    same = key[1:] == key[:-1]
    gap, of = np.log1p((moment[1:] - moment[:-1])[same] / DAY_US), key[1:][same] % items
    rate = (again + _SURE_BASKETS * _share(again, asked)) / (asked + _SURE_BASKETS)
    loyal = (kept + _SURE_BUYERS * _share(kept, buyers)) / (buyers + _SURE_BUYERS)
    usual = float(gap.mean()) if len(gap) else 0.0
    between = (np.bincount(of, weights=gap, minlength=items) + _SURE_BUYERS * usual) / (np.bincount(of, minlength=items) + _SURE_BUYERS)
    return np.stack([np.log(rate + 1e-4), loyal, between, np.log1p(buyers)], axis=1).astype(np.float32)


def _share(part: Int64 | np.ndarray, whole: Int64 | np.ndarray) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total else 0.0


def recent_purchases(history: Sequences, items: int, until: int) -> Float32:
    """(V, 3) log(1 + purchases by everybody) in the RECENT_DAYS before `until` (microseconds)."""
    bought = purchases(history)
    return _Recent(bought.item_index, bought.occurred_at, items).before(until)


class _Recent:
    """Purchases by time, so that counting a window reads that window."""

    def __init__(self, item_index: Int32, occurred_at: Int64, items: int) -> None:
        order = np.argsort(occurred_at, kind="stable")
        self._moments, self._items, self._width = occurred_at[order], item_index[order], items

    def before(self, until: int) -> Float32:
        """(V, 3) as `recent_purchases`."""
        end = np.searchsorted(self._moments, until)
        begins = [np.searchsorted(self._moments, until - days * DAY_US) for days in RECENT_DAYS]
        counts = [np.bincount(self._items[begin:end], minlength=self._width + 1)[1:] for begin in begins]
        return np.log1p(np.stack(counts, axis=1)).astype(np.float32)


def choose_lessons(history: Sequences, each: int, most: int, seed: int) -> tuple[Int64, Int64]:
    """Users and moments of each user's newest `each` baskets that have one before them; a seeded draw of them when there are more than `most`."""
    found = baskets(history)
    owner = np.repeat(np.arange(len(history)), np.diff(found.first))
    number = np.arange(len(owner))
    chosen = np.flatnonzero((number > found.first[:-1][owner]) & (number >= found.first[1:][owner] - each))
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    return owner[chosen], found.moments[chosen]


def make_lessons(history: Sequences, users: Int64, moments: Int64, facts: ItemFacts, events: int) -> Lessons:
    """Describe lessons; those without a hit, or without a miss, teach nothing and are left out.

    Args:
        history: all users' events, only what may be learnt from.
        users, moments: from `choose_lessons`.
        facts: their `recent` is not read, as every week has its own.
        events: newest events of a history that are read.
    """
    parts = list(_described(history, users, moments, facts, events))
    if not parts:
        empty = describe(history.take(np.zeros(0, np.int64)), facts)
        return Lessons(empty, np.zeros(0, np.bool_))
    sizes = np.cumsum([0] + [count for _, _, count in parts])
    owners = np.concatenate([pairs.owners + first for (pairs, _, _), first in zip(parts, sizes[:-1], strict=True)])
    hit = np.concatenate([hit for _, hit, _ in parts])
    hits, all_pairs = np.bincount(owners[hit], minlength=sizes[-1]), np.bincount(owners, minlength=sizes[-1])
    teaches = ((hits > 0) & (hits < all_pairs))[owners]
    figures = np.concatenate([pairs.figures for pairs, _, _ in parts])[teaches]
    columns = np.concatenate([pairs.columns for pairs, _, _ in parts])[teaches]
    return Lessons(Pairs(np.unique(owners[teaches], return_inverse=True)[1], columns, figures), hit[teaches])


def _described(history: Sequences, users: Int64, moments: Int64, facts: ItemFacts, events: int) -> Iterator[tuple[Pairs, Bools, int]]:
    """Week by week, a thousand lessons at a time: pairs, hits and how many lessons."""
    items = len(facts.traits)
    bought = purchases(history)
    recent = _Recent(bought.item_index, bought.occurred_at, items)
    newest = int(moments.max(initial=0))
    weeks = (newest - moments) // WEEK_US
    for week in np.unique(weeks):
        known = ItemFacts(facts.traits, recent.before(newest - int(week + 1) * WEEK_US), facts.groups)
        of_week = np.flatnonzero(weeks == week)
        for first in range(0, len(of_week), _CHUNK):
            some = of_week[first : first + _CHUNK]
            theirs = history.take(users[some])
            pairs = describe(theirs.before(moments[some]).last(events), known)
            basket = purchases(theirs.keep(theirs.occurred_at == np.repeat(moments[some], theirs.lengths)))
            wanted = basket.owners * items + basket.item_index - 1
            yield pairs, np.isin(pairs.owners * items + pairs.columns, wanted), len(some)
