"""From places to what is printed: means over users with intervals, slices, and what was shown. All of it JSON-ready, six digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.leave_one_out import Fold
from footfall.core.bootstrap import interval, paired
from footfall.core.exposure import average_popularity, exposure_gini, novelty, popularity_lift
from footfall.core.metrics import CUTOFFS, Bools, Float64, at_cutoffs, coverage
from footfall.core.sequences import Int64
from footfall.core.slices import slice_users, target_slices

CUT = 10
DRAWS, SEED = 500, 7
"""Resamples of users for an interval, and their seed."""
COLD_USER_EVENTS, COLD_ITEM_EVENTS, TAIL_SHARE = 5, 5, 0.2
"""A cold user has fewer events before the target, a cold item fewer in train; the tail of the items holds the last fifth of train's events."""

Figures = dict[str, Float64]
"""Name, as ndcg@10, -> (U,) one figure a user."""


@dataclass(frozen=True)
class Learnt:
    """What slices and exposure are measured against.

    Attributes:
        counts: (V,) events of each item in what was learnt from.
        fold: whom was ranked for.
    """

    counts: Int64
    fold: Fold


def by_user(places: Sequence[Int64]) -> Figures:
    """Every user's figures at 5, 10 and 20, the mean over runs (seeds).

    Args:
        places: a run each, (U,) ranks.
    """
    runs = [
        {
            f"{name}@{found.k}": values
            for found in at_cutoffs(ranks)
            for name, values in (("recall", found.recall), ("ndcg", found.ndcg), ("mrr", found.reciprocal_rank), ("hit_rate", found.hit))
        }
        for ranks in places
    ]
    return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}


def means(figures: Figures, users: Bools | None = None) -> dict[str, float]:
    """Means over users, or over some of them."""
    return {name: _round(float(values.mean() if users is None else values[users].mean())) for name, values in figures.items()}


def bounds(values: Float64) -> list[float]:
    """The 95% interval of a mean over users."""
    found = interval(values, DRAWS, SEED)
    return [_round(found.low), _round(found.high)]


def with_intervals(policies: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    """Every policy's means, and intervals at the cut-off that is decided by."""
    said: dict[str, dict[str, Any]] = {}
    for policy, figures in policies.items():
        said[policy] = {**means(figures), "interval": {name: bounds(figures[name]) for name in (f"ndcg@{CUT}", f"hit_rate@{CUT}")}}
    return said


def difference(policies: Mapping[str, Figures], ours: str, theirs: str) -> dict[str, Any]:
    """Paired difference of ndcg@10: the same users on both sides."""
    name = f"ndcg@{CUT}"
    found = paired(policies[ours][name], policies[theirs][name], DRAWS, SEED)
    return {"minuend": ours, "subtrahend": theirs, name: _round(found.mean), "interval": [_round(found.low), _round(found.high)]}


def members(learnt: Learnt) -> dict[str, Bools]:
    """Slices of the users by their history and by their one target; short and long are the quarters at the ends."""
    history, targets = learnt.fold.history, learnt.fold.targets
    low, high = np.quantile(history.lengths, [0.25, 0.75])
    offsets = np.arange(len(history) + 1, dtype=np.int64)
    found = slice_users(history, offsets, targets, cold_events=COLD_USER_EVENTS, long_events=int(high))
    named = {"cold_user": found["cold_user"], "short_history": history.lengths <= low, "long_history": found["long_history"]}
    named |= {"repeat": found["repeat_basket"], "explore": found["explore_basket"]}
    return named | target_slices(targets, learnt.counts, cold_events=COLD_ITEM_EVENTS, tail_share=TAIL_SHARE)


def sliced(policies: Mapping[str, Figures], slices: Mapping[str, Bools]) -> dict[str, dict[str, Any]]:
    """Every policy on each slice: ndcg@10 with its interval, and hit rate. An empty slice says only that."""
    said: dict[str, dict[str, Any]] = {}
    for name, users in slices.items():
        said[name] = {"users": int(users.sum())}
        for policy, figures in policies.items() if users.any() else ():
            kept = {figure: figures[figure] for figure in (f"ndcg@{CUT}", f"hit_rate@{CUT}")}
            said[name][policy] = {**means(kept, users), "interval": bounds(kept[f"ndcg@{CUT}"][users])}
    return said


def shown(slates: Mapping[str, Int64], learnt: Learnt) -> dict[str, dict[str, float]]:
    """What each policy shows at 10: coverage, novelty in bits, popularity (mean share of all events, and how far above the users' own), Gini."""
    items = len(learnt.counts)
    return {
        policy: {
            f"coverage@{CUT}": _round(coverage(rows, items, CUT)),
            f"novelty@{CUT}": _round(float(novelty(rows, learnt.counts, CUT).mean())),
            f"average_popularity@{CUT}": _round(float(average_popularity(rows, learnt.counts, CUT).mean())),
            f"popularity_lift@{CUT}": _round(popularity_lift(rows, learnt.fold.history, learnt.counts, CUT)),
            f"exposure_gini@{CUT}": _round(exposure_gini(rows, items, CUT)),
        }
        for policy, rows in slates.items()
    }


def table(policies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines for a terminal: a policy each, four figures at every cut-off."""
    head = " ".join(f"{name + '@' + str(k):>11}" for name in ("ndcg", "recall", "mrr", "hit_rate") for k in CUTOFFS)
    lines = [f"{'':<26} {head}"]
    for policy, figures in policies.items():
        cells = " ".join(f"{figures[f'{name}@{k}']:>11.4f}" for name in ("ndcg", "recall", "mrr", "hit_rate") for k in CUTOFFS)
        low, high = figures["interval"][f"ndcg@{CUT}"]
        lines.append(f"{policy:<26} {cells}   ndcg@{CUT} {low:.4f} to {high:.4f}")
    return lines


def _round(value: float) -> float:
    return round(value, 6)
