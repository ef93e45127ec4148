"""From ranks or slates to what is reported: every figure a user, then means, intervals, slices and paired differences. All of it JSON-ready.

Figures of one policy are a dictionary: a name with its cut-off, as ndcg@10, -> (U,) one figure a user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from footfall.core.bootstrap import interval, paired
from footfall.core.exposure import average_popularity, category_diversity, exposure_gini, novelty, popularity_lift
from footfall.core.metrics import CUTOFFS, Bools, Float64, UserMetrics, at_cutoffs, coverage, user_metrics
from footfall.core.sequences import Int32, Int64
from footfall.core.sequences import Sequences as Histories

Figures = dict[str, Float64]


@dataclass(frozen=True)
class Resampling:
    """How intervals come about: so many resamples of users, by this seed."""

    draws: int
    seed: int


@dataclass(frozen=True)
class Learnt:
    """What the data that were learnt from say of the items, and of those who are shown something.

    Attributes:
        counts: (V,) events of item_index 1, 2, ...
        history: of the U users who are ranked for.
        categories: (V,) a code an item; None where items have no categories.
        brands: (V,) of each item, "" for none; None where nothing is known of brands.
    """

    counts: Int64
    history: Histories
    categories: Int64 | None = None
    brands: Sequence[str] | None = None


def from_slates(slates: Int32 | Int64, offsets: Int64, targets: Int32, cutoffs: Sequence[int] = CUTOFFS) -> Figures:
    """Every user's figures at each cut-off, from slates and flat targets as in `metrics.user_metrics`."""
    return _named(user_metrics(slates, offsets, targets, k) for k in cutoffs)


def from_ranks(runs: Sequence[Int64], cutoffs: Sequence[int] = CUTOFFS) -> Figures:
    """Every user's figures at each cut-off from the rank of one target, the mean over runs (seeds)."""
    figures = [_named(at_cutoffs(ranks, cutoffs)) for ranks in runs]
    return {name: np.mean([run[name] for run in figures], axis=0) for name in figures[0]}


def _named(by_cutoff: Iterable[UserMetrics]) -> Figures:
    return {
        f"{name}@{found.k}": values
        for found in by_cutoff
        for name, values in (("recall", found.recall), ("ndcg", found.ndcg), ("mrr", found.reciprocal_rank), ("hit_rate", found.hit))
    }


def means(figures: Figures) -> dict[str, float]:
    """Means over users."""
    return {name: rounded(float(values.mean())) for name, values in figures.items()}


def with_intervals(figures: Figures, names: Collection[str], resampling: Resampling) -> dict[str, Any]:
    """Means over users, and under "interval" the 95% bounds of those named."""
    bounds = {name: interval(figures[name], resampling.draws, resampling.seed) for name in names}
    return {**means(figures), "interval": {name: [rounded(found.low), rounded(found.high)] for name, found in bounds.items()}}


def on_slice(policies: Mapping[str, Figures], users: Bools, names: Sequence[str], resampling: Resampling) -> dict[str, Any]:
    """Some figures of every policy on some of the users; "interval" is that of the first. A slice of nobody says only that."""
    said: dict[str, Any] = {"users": int(users.sum())}
    for policy, figures in policies.items() if users.any() else ():
        kept = {name: figures[name][users] for name in names}
        found = with_intervals(kept, names[:1], resampling)
        said[policy] = {**found, "interval": found["interval"][names[0]]}
    return said


def difference(policies: Mapping[str, Figures], ours: str, theirs: str, name: str, resampling: Resampling) -> dict[str, Any]:
    """The mean of ours minus theirs in one figure, with the interval of a paired resampling: the same users on both sides."""
    found = paired(policies[ours][name], policies[theirs][name], resampling.draws, resampling.seed)
    return {"minuend": ours, "subtrahend": theirs, name: rounded(found.mean), "interval": [rounded(found.low), rounded(found.high)]}


def best_of(policies: Mapping[str, Figures], among: Iterable[str], name: str) -> str:
    """The policy with the highest mean; the earlier of equals."""
    return max(among, key=lambda policy: float(policies[policy][name].mean()))


def shown(slates: Int32 | Int64, learnt: Learnt, k: int) -> dict[str, float]:
    """What slates show, whether it hits or not: coverage, novelty in bits, popularity and how far above the users' own, Gini, diversity."""
    counts, items = learnt.counts, len(learnt.counts)
    found = {
        f"coverage@{k}": coverage(slates, items, k),
        f"novelty@{k}": float(novelty(slates, counts, k).mean()),
        f"average_popularity@{k}": float(average_popularity(slates, counts, k).mean()),
        f"exposure_gini@{k}": exposure_gini(slates, items, k),
    }
    if len(learnt.history.item_index):
        found[f"popularity_lift@{k}"] = popularity_lift(slates, learnt.history, counts, k)
    if learnt.categories is not None:
        found[f"category_diversity@{k}"] = float(category_diversity(slates, learnt.categories, k).mean())
    return {name: rounded(value) for name, value in found.items()}


def rounded(value: float) -> float:
    """Six digits: more than any interval resolves, and the same on every machine."""
    return float(np.round(value, 6))
