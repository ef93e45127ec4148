"""Item-to-item policies that are fitted in one step: EASE and cosine neighbours, both read with recency.

A user's history counts newest first: the events of the last moment 1, those of the one before `decay`, and so on. Published gains of many
sequence models vanish beside these two, so every quality figure stands next to them (Steck 2019; Shehzad and Jannach 2024). Column j of every
matrix is item_index j + 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.core.sequences import Int64, Sequences

Float32 = npt.NDArray[np.float32]
_USERS = 512
_FADED = 1e-6
"""An event of less weight is not read."""


@dataclass(frozen=True)
class Linear:
    """A dense item-to-item matrix and how fast a history fades.

    Attributes:
        weights: (V, V) float32; row: what was touched, column: what it speaks for.
        decay: weight of a moment's events relative to those of the next newer one.
    """

    weights: Float32
    decay: float

    def scores(self, history: Sequences) -> Float32:
        """(U, V) sum over the user's events of recency x weight. A history is short: only its own rows are read."""
        found = np.zeros((len(history), len(self.weights)), np.float32)
        fading = self.decay ** moment_ages(history).astype(np.float64)
        read = (history.item_index > 0) & (fading > _FADED)
        history, fading = history.keep(read), fading[read].astype(np.float32)
        for row, (first, last) in zip(found, itertools.pairwise(history.offsets.tolist()), strict=True):
            np.matmul(fading[first:last], self.weights[history.item_index[first:last] - 1], out=row)
        return found


def moment_ages(history: Sequences) -> Int64:
    """(E,) how many moments of the same user are newer than each event's; events of one time (a basket) are one moment."""
    owners, at = history.owners, history.occurred_at
    begins = np.ones(len(at), np.int64)
    begins[1:] = (owners[1:] != owners[:-1]) | (at[1:] != at[:-1])
    moments = np.cumsum(begins)
    newest = moments[history.offsets[1:] - 1] if len(moments) else moments
    return np.repeat(newest, history.lengths) - moments if len(moments) else moments


def recency(history: Sequences, items: int, decay: float) -> Float32:
    """(U, V) recency weight of what each user touched; repeats add up."""
    ages = moment_ages(history)
    known = history.item_index > 0
    cells = history.owners[known] * items + history.item_index[known] - 1
    rows = np.bincount(cells, weights=decay ** ages[known].astype(np.float64), minlength=len(history) * items)
    return rows.reshape(len(history), items).astype(np.float32)


def fit_ease(history: Sequences, items: int, regularisation: float, decay: float) -> Linear:
    """EASE (Steck 2019): B = I - P / diag(P) with P the inverse of X'X + regularisation I. Takes V^3 operations and 12 V^2 bytes."""
    gram = _gram(history, items)
    gram[np.diag_indices(items)] += np.float32(regularisation)
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    weights[np.diag_indices(items)] = 0.0
    return Linear(weights.astype(np.float32, copy=False), decay)


def fit_cosine(history: Sequences, items: int, decay: float) -> Linear:
    """Item-kNN without a cut: cosine of the sets of users who touched two items."""
    gram = _gram(history, items)
    norm = np.sqrt(np.maximum(np.diag(gram), 1.0))
    gram /= norm[:, None]
    gram /= norm
    gram[np.diag_indices(items)] = 0.0
    return Linear(gram, decay)


def _gram(history: Sequences, items: int) -> Float32:
    """(V, V) users who touched both items."""
    gram = np.zeros((items, items), np.float32)
    for users in _blocks(len(history)):
        touched = (recency(history.take(users), items, 1.0) > 0).astype(np.float32)
        columns = np.flatnonzero(touched.any(axis=0))
        part = touched[:, columns]
        gram[np.ix_(columns, columns)] += part.T @ part
    return gram


def _blocks(users: int) -> Iterator[npt.NDArray[np.int64]]:
    for first in range(0, users, _USERS):
        yield np.arange(first, min(first + _USERS, users))
