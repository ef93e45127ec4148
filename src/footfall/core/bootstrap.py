"""Percentile intervals by resampling users, seeded, so that the same figures give the same interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float


def interval(values: npt.NDArray[np.float64], draws: int, seed: int) -> Interval:
    """The mean of `values` and its 95% percentile interval.

    For a paired interval hand in the users' differences: both policies then see the same resampled users.

    Args:
        values: (U,) one figure a user.
        draws: number of resamples.
        seed: of the resampling; the same seed and U give the same resamples.

    Raises:
        ValueError: no users, or a figure that is not finite.
    """
    if not len(values):
        raise ValueError("no users to resample")
    if not np.isfinite(values).all():
        raise ValueError("figures to resample must be finite")
    random = np.random.default_rng(seed)
    users = len(values)
    means = np.array([values[random.integers(0, users, users)].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], draws: int, seed: int) -> Interval:
    """Interval of the mean of `ours - theirs`, the same users on both sides.

    Raises:
        ValueError: the two differ in users.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"paired figures differ in users: {ours.shape} and {theirs.shape}")
    return interval(ours - theirs, draws, seed)
