"""TIFU-kNN (Hu et al., Modeling Personalized Item Frequency Information for Next-basket Recommendation, SIGIR 2020), and the same on days.

A user's vector is the mean over groups of `group` baskets, the newest group first, each group the mean of its baskets; a basket counts
`within` ** its place in the group, a group `between` ** its place. With `half_life_days` a vector is decayed purchases instead, as in personal
frequency, brought to length 1. The prediction is alpha x own vector + (1 - alpha) x mean vector of the k nearest other users (Euclidean), whose
histories reach up to the moment of asking.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.journey import Task, Window, best_slates
from footfall.core.baselines import personal_frequency
from footfall.core.habit_figures import baskets
from footfall.core.metrics import Float64
from footfall.core.sequences import Sequences

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Decay:
    """How a history becomes a vector."""

    group: int = 0
    within: float = 1.0
    between: float = 1.0
    half_life_days: float = 0.0


DECAYS = (
    Decay(3, 0.9, 0.6),  # the paper's for Dunnhumby
    Decay(7, 0.9, 0.7),  # and for Ta-Feng
    Decay(half_life_days=30.0),
    Decay(half_life_days=90.0),
)
NEIGHBOURS = (100, 300, 900)
ALPHAS = (0.2, 0.5, 0.7, 0.9)


def vectors(history: Sequences, items: int, decay: Decay) -> Float32:
    """(U, V) of each user."""
    if decay.half_life_days:
        found = personal_frequency(history, items, decay.half_life_days).astype(np.float32)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        return found
    lines = baskets(history)
    count = np.diff(lines.first)
    back = lines.first[1:][lines.owner] - 1 - lines.number
    place, inside = back // decay.group, back % decay.group
    groups = -(-count // decay.group)[lines.owner]
    size = np.minimum(decay.group, count[lines.owner] - place * decay.group)
    weight = decay.within**inside / size * decay.between**place / groups
    cells = lines.owner * items + lines.column
    return np.bincount(cells, weights=weight, minlength=len(history) * items).reshape(len(history), items).astype(np.float32)


def neighbour_means(own: Float32, everybody: Float32, users: npt.NDArray[np.int64], k: int) -> Float32:
    """(U, V) mean vector of each user's k nearest; `users` says which row of `everybody` is the user's own."""
    distance = (everybody**2).sum(axis=1) - 2 * own @ everybody.T
    distance[np.arange(len(own)), users] = np.inf
    k = min(k, len(everybody) - 1)
    nearest = np.argpartition(distance, k, axis=1)[:, :k]
    share = np.zeros_like(distance)
    np.put_along_axis(share, nearest, 1 / k, axis=1)
    found: Float32 = share.astype(np.float32) @ everybody
    return found


def run(task: Task, k: int) -> tuple[Float64, dict[str, Any]]:
    """(U,) ndcg@k of the test users, with the settings that are best on validation, and those."""
    best = max(_tried(task, k), key=lambda one: one[0])
    _, decay, neighbours, alpha = best
    test = task.test
    own, everybody = vectors(test.history, task.items, decay), vectors(test.everybody, task.items, decay)
    scores = alpha * own + (1 - alpha) * neighbour_means(own, everybody, test.targets.users, neighbours)
    return test.ndcg(best_slates(scores, test.popularity, k), k), {"validation": best[0], **vars(decay), "neighbours": neighbours, "alpha": alpha}


def _tried(task: Task, k: int) -> Iterator[tuple[float, Decay, int, float]]:
    """Every setting with its validation ndcg."""
    window: Window = task.validation
    for decay in DECAYS:
        own, everybody = vectors(window.history, task.items, decay), vectors(window.everybody, task.items, decay)
        for neighbours in NEIGHBOURS:
            near = neighbour_means(own, everybody, window.targets.users, neighbours)
            for alpha in ALPHAS:
                slates = best_slates(alpha * own + (1 - alpha) * near, window.popularity, k)
                yield float(window.ndcg(slates, k).mean()), decay, neighbours, alpha


def settings_tried() -> int:
    """How many."""
    return len(list(itertools.product(DECAYS, NEIGHBOURS, ALPHAS)))
