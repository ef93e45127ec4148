"""What a policy shows, beyond whether it hits: novelty, diversity and popularity bias. Coverage stands in `core.metrics`.

A slate is a row of item indices, best first; 0 fills positions that hold nothing, and they count for nothing.
Popularity is read from `counts` (V,): events of item_index 1, 2, ... in the data that was learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from footfall.core.metrics import Bools, Float64
from footfall.core.sequences import Int32, Int64, Sequences
from footfall.core.slices import tail_items


class GroupShares(NamedTuple):
    """What one group of items has of three things, each 0 to 1: a fair policy need not show a group as it sells, but it should be known.

    Attributes:
        exposure: of what slates show, a position weighing 1 / log2(1 + position).
        events: of the events in the data that was learnt from.
        items: of the vocabulary.
    """

    exposure: float
    events: float
    items: float


def tail_exposure(slates: Int32 | Int64, counts: Int64, share: float, k: int) -> GroupShares:
    """How much of what is shown is long tail, by `slices.tail_items`.

    Args:
        slates: (S, K).
        counts: (V,) events an item.
        share: of the events, held by the tail.
        k: cut-off.

    Raises:
        ValueError: nothing is shown, or nothing was counted.
    """
    return exposure_by_group(slates, tail_items(counts, share).astype(np.int64), ("head", "tail"), counts, k)["tail"]


def exposure_by_group(slates: Int32 | Int64, groups: Int32 | Int64, names: Sequence[str], counts: Int64, k: int) -> dict[str, GroupShares]:
    """How much of what is shown each group of items has, in the order of `names`.

    Singh and Joachims 2018, "Fairness of exposure in rankings", with the discount of ndcg for how far down users look.

    Args:
        slates: (S, K).
        groups: (V,) the group of item_index 1, 2, ..., as a position in `names`. Brands: `facts.brand` with ("", *facts.brands).
        names: of the groups.
        counts: (V,) events an item.
        k: cut-off.

    Raises:
        ValueError: nothing is shown, or nothing was counted.
    """
    shown = slates[:, :k]
    filled, discounts = shown > 0, np.broadcast_to(1 / np.log2(np.arange(2, shown.shape[1] + 2)), shown.shape)
    if not filled.any() or not counts.sum():
        raise ValueError("shares of exposure need a filled position and an event")
    weights: list[tuple[Int32 | Int64, Float64]] = [
        (groups[shown[filled] - 1], discounts[filled]),
        (groups, counts.astype(np.float64)),
        (groups, np.ones(len(groups))),
    ]
    shares = [np.bincount(of, weights=weight, minlength=len(names)) / weight.sum() for of, weight in weights]
    return {name: GroupShares(*(float(share[group]) for share in shares)) for group, name in enumerate(names)}


def novelty(slates: Int32 | Int64, counts: Int64, k: int) -> Float64:
    """(U,) mean self-information of what each user is shown, -log2 of the item's share of all events, in bits; 0 for an empty slate.

    Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems", with the share of all events in the place of the
    share of users; where nobody repeats an item the two differ by a constant. An item without events counts as with one, as in RecTools.

    Raises:
        ValueError: nothing was counted.
    """
    if not counts.sum():
        raise ValueError("novelty needs at least one event")
    return _mean_shown(-np.log2(np.maximum(counts, 1) / counts.sum()), slates[:, :k])


def category_diversity(slates: Int32 | Int64, categories: Int32 | Int64, k: int) -> Float64:
    """(U,) share of the pairs on a slate that lie in two categories; 0 where there is no pair.

    Ziegler et al. 2005, "Improving recommendation lists through topic diversification", with the distance 1 - (same category).

    Args:
        slates: (U, K).
        categories: (V,) a code for item_index 1, 2, ...
        k: cut-off.
    """
    shown = slates[:, :k]
    filled, codes = shown > 0, np.concatenate([[0], categories])[shown]
    pairs, apart = np.zeros(len(shown)), np.zeros(len(shown))
    for distance in range(1, shown.shape[1]):
        both = filled[:, distance:] & filled[:, :-distance]
        pairs += both.sum(axis=1)
        apart += (both & (codes[:, distance:] != codes[:, :-distance])).sum(axis=1)
    return apart / np.maximum(pairs, 1)


def exposure_gini(slates: Int32 | Int64, items: int, k: int) -> float:
    """Gini index of how often each of `items` items is shown: 0 where all are shown alike, (V - 1) / V where one takes all. RecBole's GiniIndex.

    Raises:
        ValueError: nothing is shown.
    """
    shown = np.sort(np.bincount(slates[:, :k].ravel(), minlength=items + 1)[1:])
    if not shown.sum():
        raise ValueError("the slates are empty")
    return float((2 * np.arange(1, items + 1) - items - 1) @ shown / (items * shown.sum()))


def average_popularity(slates: Int32 | Int64, counts: Int64, k: int) -> Float64:
    """(U,) mean share of all events of what each user is shown: ARP, normalised as in RecTools; 0 for an empty slate."""
    return _mean_shown(counts / max(int(counts.sum()), 1), slates[:, :k])


def popularity_lift(slates: Int32 | Int64, history: Sequences, counts: Int64, k: int) -> float:
    """By how much slates are more popular than what their users chose themselves: 0 is none, 1 is twice as popular, negative is less.

    (GAP of slates - GAP of histories) / GAP of histories, where GAP is the mean over users of the mean popularity of their items: Abdollahpouri
    et al. 2019, "The unfairness of popularity bias in recommendation". A bare average (ARP) cannot be compared between shops; this can.

    Args:
        slates: (U, K).
        history: of the same users; those without an item in it, or with an empty slate, are left out.
        counts: (V,) events an item.
        k: cut-off.

    Raises:
        ValueError: users differ in number, or nobody has both an item and a slate.
    """
    if len(history) != len(slates):
        raise ValueError(f"{len(slates)} slates for {len(history)} users")
    known = history.item_index > 0
    chosen = np.bincount(history.owners[known], weights=counts[history.item_index[known] - 1], minlength=len(history))
    events = history.count(known)
    both: Bools = (events > 0) & (slates[:, :k] > 0).any(axis=1)
    own = float((chosen[both] / events[both]).sum())
    if not own:
        raise ValueError("nobody has both a history and a slate")
    return float(_mean_shown(counts.astype(np.float64), slates[both, :k]).sum()) / own - 1


def _mean_shown(values: Float64, shown: Int32 | Int64) -> Float64:
    """(U,) mean over filled positions of a value (V,) an item."""
    means: Float64 = np.concatenate([[0.0], values])[shown].sum(axis=1) / np.maximum(np.count_nonzero(shown, axis=1), 1)
    return means
