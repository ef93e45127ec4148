"""Where the simulator's chance comes from: one stream of random numbers for each purpose and day, so that no day depends on another.

Knows nothing of shops. Streams are numpy's SFC64, seeded through SeedSequence, which keeps neighbouring seeds apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_STREAMS = ("items", "users", "friends", "campaigns", "stock", "visits", "intruders", "assortment", "tracking", "answers")


def stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """The stream of one purpose and number (a day, a block of days); the same arguments give the same numbers.

    >>> stream(1, "visits", 7).integers(100) == stream(1, "visits", 7).integers(100)
    np.True_
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, _STREAMS.index(purpose), number])))


def unit(vectors: npt.NDArray[Any]) -> Float32:
    """(N, D) rows scaled to length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def choose(luck: Float64, cumulative: Float64, low: Float64 | float = 0.0, high: Float64 | float | None = None) -> Int64:
    """Positions drawn by weight; one without weight is never drawn, unless low equals high.

    Args:
        luck: 0 <= luck < 1; the answer is where this part of the way from `low` to `high` is reached.
        cumulative: running sums of the weights.
        low, high: sums between which to draw; by default all.

    >>> choose(np.array([0.0, 0.5, 0.99]), np.array([1.0, 1.0, 4.0]))
    array([0, 2, 2])
    """
    top = cumulative[-1] if high is None else high
    found = np.searchsorted(cumulative, low + (top - low) * luck, side="right")
    return np.asarray(np.minimum(found, len(cumulative) - 1))


def choose_column(luck: Float64, weights: Float64) -> Int64:
    """(N,) column drawn by the weights of each row of (N, C); rows need not sum to one."""
    sums = np.cumsum(weights, axis=1)
    return np.asarray(np.minimum((sums <= (luck * sums[:, -1])[:, None]).sum(axis=1), weights.shape[1] - 1))
