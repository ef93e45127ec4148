"""The next item as a class among all items: the ranking's softmax beside a logistic regression.

The regression knows each item's popularity and the user's own habit of it.

A target is drawn from the basket that comes, so the chance of an item is that of being the one drawn: one over the basket's size for its items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from footfall.arrays.windows import Split, Targets
from footfall.core.baselines import personal_frequency, popularity, purchases
from footfall.core.classification import auc_of_few, calibration
from footfall.core.logistic import fit_choice, softmax
from footfall.core.metrics import Float64
from footfall.core.rhythm import Moments
from footfall.core.sequences import DAY_US, Int64, Sequences
from footfall.recommender import Recommender

_USERS_A_CHUNK = 64
_CELLS, _MOST = 3_000_000, 300
"""Users times items, and users, that the regression learns from at most; at least one."""
_POPULARITY_DAYS, _HALF_LIFE_DAYS = 28, 90.0

Chances = Callable[[Sequences], Float64]
"""(U, V) chances of some users' items."""


@dataclass(frozen=True)
class _Answers:
    """Of U users: the top item's column, its chance, the share of the basket that it is (0: none), log loss and AUC of known targets (NaN: none)."""

    top: Int64
    said: Float64
    share: Float64
    loss: Float64
    auc: Float64


def next_item(recommender: Recommender, analysed: Sequences, split: Split, targets: Targets, seed: int) -> dict[str, Any]:
    """Figures of the top item and its chance, and of the order of all others.

    Accuracy: the top item is in the basket; macro precision, recall and F1 over the items that were any user's top item; AUC of a user's targets
    against all other items; log loss; calibration of the top item's chance.

    Args:
        recommender: the opened bundle.
        analysed: all events of the users who may be counted.
        split: when the test window begins.
        targets: the first baskets in it, by position in `analysed`; items outside the vocabulary can be no top item, and have no AUC or loss.
        seed: of the draw of users that the regression learns from.
    """
    items = len(recommender.vocabulary)
    history = analysed.take(targets.users).before(split.test_start)
    found = {"users": len(targets), "heads": _figures(lambda rows: recommender.item_chances(rows, split.test_start), history, targets)}
    weights = _fit(analysed, split, items, seed)
    if weights is None:
        return found | {"reason": "no basket in the train part's last days: no logistic regression"}
    counts = popularity(analysed, items, split.test_start, _POPULARITY_DAYS)
    return found | {"logistic_regression": _figures(lambda rows: _regress(rows, counts, split.test_start, weights), history, targets)}


def _fit(analysed: Sequences, split: Split, items: int, seed: int) -> Float64 | None:
    """Weights learnt from the first baskets of the train part's last days; as many days as the test window has."""
    cut = split.train_end - (split.as_of - split.test_start)
    known = analysed.before(split.train_end)
    moments, everybody = Moments(known), np.arange(len(known))
    at = np.full(len(known), cut)
    place, there = moments.bought.next_after(everybody, at)
    users = np.flatnonzero(there & (moments.all.place(everybody, at) > moments.all.offsets[:-1]))
    users = np.sort(np.random.default_rng(seed).permutation(users)[: max(1, min(_MOST, _CELLS // items))])
    if not len(users):
        return None
    counts = popularity(known, items, cut, _POPULARITY_DAYS)
    first = moments.bought.times[place[users]]
    bought = purchases(known.take(users))
    basket = bought.keep(bought.occurred_at == np.repeat(first, bought.lengths))
    shares = np.zeros((len(users), items))
    shares[basket.owners, basket.item_index - 1] = 1
    if not shares.any():
        return None
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return fit_choice(list(_alternatives(known.take(users).before(cut), counts, cut)), list(shares))


def _alternatives(history: Sequences, counts: Float64, at: int) -> Float64:
    """(U, V, 5) figures: the item's popularity, whether the user ever bought it, how often, how often of late, and how long ago."""
    cells = len(history) * len(counts)
    bought = purchases(history)
    place = bought.owners * len(counts) + bought.item_index - 1
    times = np.bincount(place, minlength=cells)
    newest = np.zeros(cells, np.int64)
    np.maximum.at(newest, place, bought.occurred_at)
    ago = np.where(times > 0, np.log1p((at - newest) / DAY_US), 0.0)
    often = personal_frequency(history, len(counts), _HALF_LIFE_DAYS).ravel()
    popular = np.tile(np.log1p(counts), len(history))
    return np.stack([popular, times > 0, np.log1p(times), np.log1p(often), ago], axis=1).reshape(len(history), len(counts), 5)


def _regress(rows: Sequences, counts: Float64, at: int, weights: Float64) -> Float64:
    return softmax(_alternatives(rows, counts, at) @ weights)


def _figures(chances: Chances, history: Sequences, targets: Targets) -> dict[str, Any]:
    """Every figure, users in chunks."""
    chunks = [
        _answers(chances, history, targets, np.arange(f, min(f + _USERS_A_CHUNK, len(history)))) for f in range(0, len(history), _USERS_A_CHUNK)
    ]
    top, said, share, loss, area = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("top", "said", "share", "loss", "auc"))
    precision, recall, f1 = _macro(top, share > 0, targets)
    return {
        "accuracy": float((share > 0).mean()),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "items_shown": len(np.unique(top)),
        "auc": float(np.nanmean(area)) if np.isfinite(area).any() else None,
        "log_loss": float(np.nanmean(loss)) if np.isfinite(loss).any() else None,
        "calibration": calibration(share, said),
    }


def _answers(chances: Chances, history: Sequences, targets: Targets, users: Int64) -> _Answers:
    rows = chances(history.take(users))
    top, said = rows.argmax(axis=1), rows.max(axis=1)
    share, loss, area = np.zeros(len(users)), np.full(len(users), np.nan), np.full(len(users), np.nan)
    for n, user in enumerate(users):
        basket = targets.item_index[targets.offsets[user] : targets.offsets[user + 1]]
        wanted = basket[basket > 0].astype(np.int64) - 1
        share[n] = (wanted == top[n]).any() / len(basket)
        if len(wanted):
            loss[n] = -np.log(np.maximum(rows[n, wanted], 1e-12)).mean()
            area[n] = np.nan if (found := auc_of_few(rows[n], wanted)) is None else found
    return _Answers(top, said, share, loss, area)


def _macro(top: Int64, hit: np.ndarray, targets: Targets) -> tuple[float, float, float]:
    """Precision, recall and F1, each the mean over the items that were shown at the top."""
    width = 1 + int(max(top.max(initial=0), targets.item_index.max(initial=0)))
    shown = np.bincount(top, minlength=width)
    hits = np.bincount(top[hit], minlength=width)
    there = np.bincount(targets.item_index[targets.item_index > 0] - 1, minlength=width)
    items = np.flatnonzero(shown)
    precision = hits[items] / shown[items]
    recall = hits[items] / np.maximum(there[items], 1)
    f1 = 2 * hits[items] / (shown[items] + there[items])
    return float(precision.mean()), float(recall.mean()), float(f1.mean())
