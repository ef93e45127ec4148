"""Ranking metrics, one figure a user, so that intervals and slices can be drawn from them afterwards.

A slate is a row of item indices, best first; 0 fills positions that hold nothing. Targets are flat: `items` (T,) with `offsets` (U + 1,);
a target outside the vocabulary has index 0: it can never be hit, and it counts as a target all the same.
Definitions: recall@k = hits / min(k, targets); ndcg@k = discounted hits / the most that min(k, targets) hits
could give, discount 1 / log2(1 + position);
reciprocal rank over the first k positions; hit rate@k = share of users with any hit; coverage@k = share of the vocabulary that stands in any slate.
With one target a user these are the definitions of RecTools (`NDCG(k, divide_by_achievable=True)`) and of RecBole, and a rank is all they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.core.sequences import Int32, Int64, Sequences

Floats = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CUTOFFS = (5, 10, 20)
UNRANKED = 1 << 62
"""Rank of a target that can never be shown: behind every cut-off."""

_GROUPS, _LONG = 1024, 4
"""Groups of a long row, at least, and columns a group from which they pay. Fewer slow the pass over the row, more the selection among maxima."""


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
    # Most rows are one low value (often 0) nearly everywhere, and selection is slow on ties: so look strictly above the floor first.
    floor = _floor_of_best(row, k)
    above = np.flatnonzero(row > floor)
    if len(above) > k:
        values = row[above]
        above = above[values >= np.partition(values, len(values) - k)[len(values) - k]]
    ordered = above[np.argsort(-row[above], kind="stable")[:k]]
    if len(ordered) < k:
        ordered = np.concatenate([ordered, np.flatnonzero(row == floor)[: k - len(ordered)]])
    return ordered


def _floor_of_best(row: Floats, k: int) -> np.floating[Any]:
    """A value that at least k columns reach: in a long row the k-th best maximum of as many groups, a cheap pass that leaves few columns above it."""
    groups = max(_GROUPS, 8 * k)
    rounds = len(row) // groups
    maxima = row
    if rounds >= _LONG:
        maxima = row[: rounds * groups].reshape(rounds, groups).max(axis=0)
        rest = row[rounds * groups :]
        np.maximum(maxima[: len(rest)], rest, out=maxima[: len(rest)])
    lowest: np.floating[Any] = maxima.min()
    if np.isnan(lowest):
        raise ValueError("scores hold NaN")
    if rounds < _LONG:
        return lowest
    above = maxima[maxima > lowest]
    return lowest if len(above) < k else np.partition(above, len(above) - k)[len(above) - k]


def ranks(scores: Floats, targets: Int32 | Int64, seen: Sequences | None = None) -> Int64:
    """How many columns stand before each user's target: 0 is the best. It counts and never sorts.

    Equal scores are ordered by column, the lower first: a rank is the target's position in the order of `top_k`.

    Args:
        scores: (U, V), finite or -inf; column j is item_index j + 1. Left as they are.
        targets: (U,) item_index, one a user; 0 is outside the vocabulary.
        seen: histories of the same users, whose items are masked: they stand before nothing. Repeats and index 0 do no harm.

    Returns:
        (U,) ranks among the columns that are not masked; UNRANKED where the target itself is masked or outside the vocabulary.

    Raises:
        ValueError: a score is NaN, users differ in number, or an item has no column.
    """
    users, items = scores.shape
    if len(targets) != users or (seen is not None and len(seen) != users):
        raise ValueError(f"scores of {users} users, targets of {len(targets)}, histories of {users if seen is None else len(seen)}")
    if max(targets.max(initial=0), 0 if seen is None else seen.item_index.max(initial=0)) > items:
        raise ValueError(f"an item_index is beyond the {items} columns of the scores")
    if np.isnan(scores.min(initial=np.inf)):
        raise ValueError("scores hold NaN")
    columns = targets.astype(np.int64) - 1
    found = np.full(users, UNRANKED, np.int64)
    for user in np.flatnonzero(columns >= 0):
        row, column = scores[user], columns[user]
        found[user] = np.count_nonzero(row[:column] >= row[column]) + np.count_nonzero(row[column:] > row[column])
    return found if seen is None else _without_seen(found, scores, columns, seen)


def _without_seen(found: Int64, scores: Floats, columns: Int64, seen: Sequences) -> Int64:
    """Ranks less the masked columns that were counted."""
    users, items = scores.shape
    known = seen.item_index > 0
    owner, column = np.divmod(np.unique(seen.owners[known] * items + seen.item_index[known] - 1), items)
    own, masked = scores[owner, columns[owner]], scores[owner, column]
    before = (masked > own) | ((masked == own) & (column < columns[owner]))
    ranked = np.where(found < UNRANKED, found - np.bincount(owner[before], minlength=users), UNRANKED)
    ranked[owner[column == columns[owner]]] = UNRANKED
    return ranked


def at_cutoffs(found: Int64, cutoffs: Sequence[int] = CUTOFFS) -> list[UserMetrics]:
    """Every user's metrics from the rank of one target, at each cut-off.

    Args:
        found: (U,) ranks, 0 the best.
        cutoffs: positions that are looked at.
    """
    discounts, reciprocals = 1 / np.log2(found + 2.0), 1 / (found + 1.0)
    by_cutoff = []
    for k in cutoffs:
        hit: Float64 = (found < k).astype(np.float64)
        by_cutoff.append(UserMetrics(k, hit, hit * discounts, hit * reciprocals, hit))
    return by_cutoff


def slates_at_cutoffs(slates: Int32 | Int64, offsets: Int64, items: Int32, cutoffs: Sequence[int] = CUTOFFS) -> list[UserMetrics]:
    """`user_metrics` at each cut-off, for any number of targets a user.

    Raises:
        ValueError: a slate is shorter than the last cut-off, or what `user_metrics` refuses.
    """
    if slates.shape[1] < max(cutoffs):
        raise ValueError(f"slates have {slates.shape[1]} positions, {max(cutoffs)} are asked for")
    return [user_metrics(slates, offsets, items, k) for k in cutoffs]


def mean_figures(by_cutoff: Iterable[UserMetrics]) -> dict[str, float]:
    """Means over users: recall@k, ndcg@k, mrr@k and hit_rate@k of every cut-off."""
    return {
        f"{name}@{found.k}": float(values.mean())
        for found in by_cutoff
        for name, values in (("recall", found.recall), ("ndcg", found.ndcg), ("mrr", found.reciprocal_rank), ("hit_rate", found.hit))
    }


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
