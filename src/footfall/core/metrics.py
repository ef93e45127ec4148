"""Ranking metrics, one figure a user, so that intervals and slices can be drawn from them afterwards.

A slate is a row of item indices, best first; 0 fills positions that hold nothing. Targets are flat: `items` (T,) with `offsets` (U + 1,);
a target outside the vocabulary has index 0: it can never be hit, and it counts as a target all the same.
Definitions: recall@k = hits / min(k, targets); ndcg@k = discounted hits / the most that min(k, targets) hits
could give, discount 1 / log2(1 + position);
reciprocal rank over the first k positions; hit rate@k = share of users with any hit; coverage@k = share of the vocabulary that stands in any slate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.core.sequences import Int32, Int64

Floats = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class UserMetrics:
    """(U,) figures a user at one cut-off `k`."""

    k: int
    recall: Float64
    ndcg: Float64
    reciprocal_rank: Float64
    hit: Float64

    def named(self) -> dict[str, Float64]:
        """The same arrays under the names that METRICS uses."""
        return {f"recall@{self.k}": self.recall, f"ndcg@{self.k}": self.ndcg, "mrr": self.reciprocal_rank, f"hit_rate@{self.k}": self.hit}


def top_k(scores: Floats, k: int) -> Int64:
    """The k best columns of each row, best first; equal scores are ordered by column, the lower first.

    Args:
        scores: (U, V), finite or -inf.
        k: positions wanted; at most V are returned.

    Returns:
        (U, min(k, V)) column numbers.

    Raises:
        ValueError: a score is NaN, which no order can place.
    """
    users, columns = scores.shape
    k = min(k, columns)
    best = np.empty((users, k), dtype=np.int64)
    for user in range(users):
        best[user] = _best_of_row(scores[user], k)
    return best


def _best_of_row(row: Floats, k: int) -> Int64:
    # Most rows are one low value (often 0) nearly everywhere, and selection is slow on ties: so look above the lowest value first.
    lowest = row.min()
    if np.isnan(lowest):
        raise ValueError("scores hold NaN")
    above = np.flatnonzero(row > lowest)
    if len(above) > k:
        values = row[above]
        above = above[values >= np.partition(values, len(values) - k)[len(values) - k]]
    ordered = above[np.argsort(-row[above], kind="stable")[:k]]
    if len(ordered) < k:
        ordered = np.concatenate([ordered, np.flatnonzero(row == lowest)[: k - len(ordered)]])
    return ordered


def hit_matrix(slates: Int32 | Int64, offsets: Int64, items: Int32) -> Bools:
    """(U, K): which positions hold one of the user's targets.

    Args:
        slates: (U, K) item indices, 0 for nothing.
        offsets, items: flat targets.
    """
    size = int(max(slates.max(initial=0), items.max(initial=0))) + 1
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    wanted = np.unique(owners[items > 0] * size + items[items > 0])
    keys = np.arange(len(slates))[:, None] * size + slates
    if not len(wanted):
        return np.zeros(slates.shape, dtype=np.bool_)
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    hits: Bools = (wanted[place] == keys) & (slates > 0)
    return hits


def user_metrics(slates: Int32 | Int64, offsets: Int64, items: Int32, k: int) -> UserMetrics:
    """Every user's metrics at cut-off `k`.

    Args:
        slates: (U, K) distinct item indices a row, best first, 0 for nothing.
        offsets, items: flat targets; every user has at least one.
        k: cut-off.

    Raises:
        ValueError: slates and targets differ in users, or a user has no target.
    """
    sizes = np.diff(offsets)
    if len(sizes) != len(slates):
        raise ValueError(f"{len(slates)} slates for {len(sizes)} users")
    if (sizes < 1).any():
        raise ValueError("a user without targets cannot be scored")
    if not slates.shape[1]:
        raise ValueError("slates have no positions")
    hits: Float64 = hit_matrix(slates[:, :k], offsets, items).astype(np.float64)
    any_hit: Float64 = hits.max(axis=1, initial=0.0)
    most = np.minimum(sizes, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[most - 1]
    first: Float64 = any_hit / (1 + hits.argmax(axis=1))
    ndcg: Float64 = hits @ discount[: hits.shape[1]] / ideal
    return UserMetrics(k, hits.sum(axis=1) / most, ndcg, first, any_hit)


def coverage(slates: Int32 | Int64, items: int, k: int) -> float:
    """Share of a vocabulary of `items` that stands in the first k positions of any slate."""
    shown = np.unique(slates[:, :k])
    return float(np.count_nonzero(shown)) / items
