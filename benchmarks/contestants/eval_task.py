"""What every contestant of `benchmarks.eval` is asked for: recall, ndcg, mrr and hit rate at 5, 10 and 20, one target a user among all items.

Everybody is given the same vectors and histories; a score is the product of a user's vector and an item's, and the user's own history is taken out
of the ranking. The vectors are such that 32-bit products are exact in any order of summation and no user has two equal scores: all but one number
of a vector are small integers, the last is 1 for users and another multiple of 2^-14 for each item. So results must agree to the last bits of a
mean, whichever library multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CUTOFFS = (5, 10, 20)
DIM = 64
NAMES = tuple(f"{name}@{k}" for k in CUTOFFS for name in ("recall", "ndcg", "mrr", "hit_rate"))
Evaluation = Callable[[], dict[str, float]]
"""From vectors and histories, held in the contestant's own form, to the figures under NAMES."""


@dataclass(frozen=True)
class Task:
    """U users and V items; items are 1 to V, and vector j is that of item j + 1.

    Attributes:
        users: (U, DIM) float32.
        items: (V, DIM) float32.
        history: flat items, oldest first, no item twice in a user.
        offsets: (U + 1,) user u owns history[offsets[u]:offsets[u + 1]], two items at least.
        targets: (U,) the item that came next.
    """

    users: npt.NDArray[np.float32]
    items: npt.NDArray[np.float32]
    history: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int32]

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """The user of each item of the history."""
        return np.repeat(np.arange(len(self.targets)), np.diff(self.offsets))

    def write(self, path: Path) -> None:
        """One file, for processes that share no package with ours but numpy."""
        arrays: dict[str, Any] = vars(self)
        np.savez(path, **arrays)


def read_task(path: Path) -> Task:
    """What `Task.write` wrote."""
    with np.load(path) as stored:
        return Task(**{name: stored[name] for name in stored.files})


def make_task(history: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64], targets: npt.NDArray[np.int32], items: int, seed: int = 7) -> Task:
    """Vectors for these histories: random, and users lean so much to their targets that about a tenth is found among the first ten.

    Raises:
        ValueError: too many items for exact products.
    """
    if items >= 2**14:
        raise ValueError(f"{items} items; products are exact up to {2**14 - 1}")
    random = np.random.default_rng(seed)
    item_vectors = random.integers(-2, 3, (items, DIM)).astype(np.float32)
    item_vectors[:, -1] = random.permutation(items) / 2**14
    leaning = random.random((len(targets), DIM)) < 0.35 * random.random((len(targets), 1))
    users = np.where(leaning, item_vectors[targets - 1], random.integers(-2, 3, (len(targets), DIM))).astype(np.float32)
    users[:, -1] = 1.0
    return Task(users, item_vectors, history, offsets, targets)
