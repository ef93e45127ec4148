"""The chance that this user buys this item within seven days: what a fused score is worth in purchases.

A fused score only orders the items of one user: habits and the model stand beside the user's own best there, so the same score means little to a
user who comes twice a year and much to one who comes twice a week. The chance is therefore read from three things: the item's score, how often
and how lately the user buys, and what the user's scores come to together (of many items that are nearly as good each is bought less often).
A logistic regression puts them into one number, and isotonic regression (`core.isotonic`) says how often that number came true. Within a user the
chance never falls where the score rises.

It holds for what a slate can show: the DEPTH best items of a user who has a history. Of others nothing was ever measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from footfall.core.baselines import purchases
from footfall.core.isotonic import Steps, fit_isotonic
from footfall.core.logistic import fit_logistic
from footfall.core.metrics import Bools, Float64, top_k
from footfall.core.rhythm import FIGURES, Moments
from footfall.core.sequences import DAY_US, Int64, Sequences

DAYS = 7
"""Days within which the purchase comes."""
DEPTH = 100
"""Best items of each user for which a chance holds."""
SUPPORT = 200
"""Fewest lines of which one level is told."""
PACE = ("since_last_purchase", "purchases_28d", "purchases_90d", "purchases", "gap_between_purchases")
"""What is read of a user, of `rhythm.FIGURES`."""
READ = ("score", "together", *PACE)
"""What the chance is read from, in the order of its weights; logarithms all."""

_PACE_COLUMNS = [FIGURES.index(name) for name in PACE]
_FAINTEST = 1e-6  # scores below are of items that only order ties


@dataclass(frozen=True)
class ChanceModel:
    """A fitted chance.

    Attributes:
        weights: (len(READ),) of the figures as they are; the first is not negative.
        steps: from their weighted sum to the chance.
    """

    weights: Float64
    steps: Steps

    def chances(self, scores: Float64, together: Float64, pace: Float64) -> Float64:
        """(U, K) chances of some items.

        Args:
            scores: (U, K) fused scores; one that is not finite has no chance: NaN.
            together: (U,) sum of each user's DEPTH best scores.
            pace: (U, len(PACE)).
        """
        finite = np.isfinite(scores)
        index = _index(_figures(np.where(finite, scores, 0.0), together, pace), self.weights)
        return np.where(finite, self.steps.of(index), np.nan)

    def of_users(self, history: Sequences, at: int | Int64, rows: Float64, columns: Int64, known: Bools) -> Float64:
        """(U, K) chances of the items of `columns` (U, K; item_index - 1); NaN for users who are not `known` (U,).

        Args:
            history: of U users, as far back as the policy reads, nothing from `at` on; whoever is known has an event.
            at: the moment of asking, microseconds; one for all or (U,) one a user.
            rows: (U, V) fused scores of all items.
            columns: which items.
            known: who has a history that can be scored.
        """
        users, found = np.flatnonzero(known), np.full(columns.shape, np.nan)
        if len(users):
            moments = np.broadcast_to(np.asarray(at, np.int64), len(history))[users]
            figures = Moments(history).figures(users, moments, len(history.item_index))
            mine = rows[users]
            found[users] = self.chances(np.take_along_axis(mine, columns[users], axis=1), together(mine), pace(figures))
        return found


def together(rows: Float64) -> Float64:
    """(U,) sum of the DEPTH best scores of each row of (U, V), which may hold -inf."""
    best = np.take_along_axis(rows, top_k(rows, DEPTH), axis=1)
    return np.asarray(np.where(np.isfinite(best), best, 0.0).sum(axis=1))


def pace(figures: Float64) -> Float64:
    """(U, len(PACE)) of (U, len(FIGURES)) from `rhythm.Moments.figures`."""
    return figures[:, _PACE_COLUMNS]


def fit_chances(scores: Float64, user_pace: Float64, bought: Bools) -> ChanceModel | None:
    """Learn what scores came to.

    Args:
        scores: (U, D) the users' best scores.
        user_pace: (U, len(PACE)).
        bought: (U, D) whether the item was bought within DAYS.

    Returns:
        The model; None where there is nothing to learn: no line, every line or no line was bought.
    """
    if not bought.size or bought.all() or not bought.any():
        return None
    figures, came = _figures(scores, scores.sum(axis=1), user_pace).reshape(-1, len(READ)), bought.ravel()
    fitted = fit_logistic(figures, came.astype(np.int64), 2)
    weights = (fitted.weights[:-1, 1] - fitted.weights[:-1, 0]) * fitted.scale
    weights[0] = max(weights[0], 0.0)
    return ChanceModel(weights, fit_isotonic(_index(figures, weights), came, SUPPORT))


def bought_within(sequences: Sequences, users: Int64, at: int, columns: Int64, days: int = DAYS) -> Bools:
    """(U, K) whether each of `users` bought each item of `columns` (U, K; item_index - 1) in the `days` days from `at` (microseconds) on."""
    bought = purchases(sequences.take(users))
    within = (bought.occurred_at >= at) & (bought.occurred_at < at + days * DAY_US)
    width = np.int64(max(int(columns.max(initial=0)), int(bought.item_index.max(initial=1)) - 1) + 1)
    cells = bought.owners[within] * width + bought.item_index[within] - 1
    return np.isin(np.arange(len(users))[:, None] * width + columns, cells)


def evenly(users: Int64, most: int) -> Int64:
    """At most so many of them, evenly spaced: a draw without dice."""
    return users if len(users) <= most else users[np.arange(most) * len(users) // most]


def from_document(weights: Mapping[str, float], starts: list[float], levels: list[float]) -> ChanceModel:
    """A model from its numbers as they are written: `weights` by the names in READ, and the two arrays of its steps.

    Raises:
        ValueError: other names, numbers that are not finite, steps that do not ascend, levels outside 0 to 1, or a score that lowers the chance.
    """
    if sorted(weights) != sorted(READ):
        raise ValueError(f"weights of {sorted(weights)}, expected {sorted(READ)}")
    found = [np.array(values, np.float64) for values in ([weights[name] for name in READ], starts, levels)]
    if any(one.ndim != 1 or not np.isfinite(one).all() for one in found):
        raise ValueError("numbers that are not finite")
    told, begin, level = found
    if not len(begin) or len(begin) != len(level) or (np.diff(begin) <= 0).any() or (np.diff(level) < 0).any():
        raise ValueError("steps that do not ascend")
    if level[0] <= 0 or level[-1] >= 1 or told[0] < 0:
        raise ValueError("chances outside 0 to 1, or a score that lowers them")
    return ChanceModel(told, Steps(begin, level))


def _index(figures: Float64, weights: Float64) -> Float64:
    """The weighted sum, in the same order for one user and for many: a matrix product's last digits depend on how many there are."""
    return np.asarray((figures * weights).sum(axis=-1))


def _figures(scores: Float64, sums: Float64, user_pace: Float64) -> Float64:
    """(U, K, len(READ))."""
    own = np.concatenate([np.log(np.maximum(sums, _FAINTEST))[:, None], user_pace], axis=1)
    wide = np.broadcast_to(own[:, None], (*scores.shape, own.shape[1]))
    return np.concatenate([np.log(np.maximum(scores, _FAINTEST))[..., None], wide], axis=2)
