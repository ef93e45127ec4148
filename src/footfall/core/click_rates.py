"""The click model that doubly robust estimates lean on: an item's rate times its position's, shrunk, and never fitted on the row it predicts.

Rates of a click are small and items have few rows each; so an item's rate is its clicks over the clicks that its positions alone would have brought,
both with `prior` clicks added, the posterior mean of a Poisson rate under a gamma prior of mean 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footfall.core.metrics import Float64
from footfall.core.sequences import Int64


@dataclass(frozen=True)
class ClickRates:
    """Rates fitted F times, each time without one fold of the slates.

    Attributes:
        position: (F, K) reward expected of the usual item at position 1, 2, ...
        item: (F, V + 1) by how much item_index 0, 1, ... is better than usual.
        fold: (R,) the fit that did not see a slate.
    """

    position: Float64
    item: Float64
    fold: Int64

    def at(self, slate: Int64, position: Int64, item: Int64) -> Float64:
        """Reward expected, by the fit that saw nothing of the slate; the three broadcast against each other."""
        fold = self.fold[slate]
        return np.asarray(self.position[fold, position - 1] * self.item[fold, item])


def cross_fitted(
    slate: Int64, position: Int64, item: Int64, reward: Float64, fold: Int64, items: int, *, positions: int | None = None, prior: float = 5.0
) -> ClickRates:
    """Rates by item and position, fitted once without each fold.

    Args:
        slate: (N,) number of the slate, from 0.
        position: (N,) from 1.
        item: (N,) item_index.
        reward: (N,) 0 or more.
        fold: (R,) from 0 on; slates of one user belong into one.
        items: V; an item without a row is taken as usual.
        positions: K; the largest that occurs by default.
        prior: clicks by which an item's rate is drawn to the usual one.

    Raises:
        ValueError: fewer than two folds, a reward below 0, or a prior that is not above 0.
    """
    folds = int(fold.max()) + 1
    if folds < 2 or reward.min() < 0 or not prior > 0:
        raise ValueError(f"two folds at least, rewards of 0 or more and a prior above 0 are needed; found {folds}, {reward.min()}, {prior}")
    width = positions or int(position.max())
    by_position, by_item = np.zeros((folds, width)), np.ones((folds, items + 1))
    for one in range(folds):
        seen = fold[slate] != one
        shown, clicks = np.bincount(position[seen] - 1, minlength=width), np.bincount(position[seen] - 1, reward[seen], minlength=width)
        by_position[one] = clicks / np.maximum(shown, 1)
        usual = np.bincount(item[seen], by_position[one, position[seen] - 1], minlength=items + 1)
        by_item[one] = (np.bincount(item[seen], reward[seen], minlength=items + 1) + prior) / (usual + prior)
    return ClickRates(by_position, by_item, fold)
