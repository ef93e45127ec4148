"""EASE and cosine neighbours for shops with fewer users than items, without ever holding items x items.

With X (U, V) of who touched what, EASE's inverse is P = (X'X + l I)^-1 = (I - X'(XX' + l I)^-1 X) / l: the inverse that is needed is users x users,
and scores are two products with (U, V). The figures are those of `closed_form`. Column j of every matrix is item_index j + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footfall.core.closed_form import Float32, Linear, fit_cosine, fit_ease, recency
from footfall.core.sequences import Sequences

LEAST_USERS = 1_000
"""Fewer are too few to speak for a shop that has more."""


@dataclass(frozen=True)
class Factored:
    """Item-to-item weights `left' @ right` of which each column is divided by `scale`, and the diagonal taken out.

    Attributes:
        left, right: (U, V) float32.
        diagonal: (V,) of left' @ right.
        scale: (V,) what each item's score is divided by.
        decay: weight of a moment relative to the next newer one.
    """

    left: Float32
    right: Float32
    diagonal: Float32
    scale: Float32
    decay: float

    def scores(self, history: Sequences) -> Float32:
        """(U, V) sum over the user's events of recency x weight."""
        touched = recency(history, self.left.shape[1], self.decay)
        near: Float32 = touched @ self.left.T
        found: Float32 = near @ self.right
        np.subtract(found, touched * self.diagonal, out=found)
        return np.divide(found, self.scale, out=found)


def factored_ease(history: Sequences, items: int, regularisation: float, decay: float) -> Factored:
    """EASE (Steck 2019). Takes U^2 V operations and 12 U V bytes; same weights as `closed_form.fit_ease`."""
    touched = _touched(history, items)
    gram = (touched @ touched.T).astype(np.float64)
    gram[np.diag_indices(len(gram))] += regularisation
    solved = np.linalg.inv(gram).astype(np.float32) @ touched
    diagonal = np.einsum("uj,uj->j", touched, solved, dtype=np.float32)
    return Factored(touched, solved, diagonal, 1 - diagonal, decay)


def factored_cosine(history: Sequences, items: int, decay: float) -> Factored:
    """Item-kNN without a cut; same weights as `closed_form.fit_cosine`."""
    touched = _touched(history, items)
    counts = touched.sum(axis=0)
    touched /= np.sqrt(np.maximum(counts, 1))
    return Factored(touched, touched, (counts > 0).astype(np.float32), np.ones(items, np.float32), decay)


def fit_within(history: Sequences, items: int, regularisation: float, decay: float, cells: int, seed: int) -> dict[str, Linear | Factored]:
    """EASE and item-kNN in the form that is smaller; nothing where neither fits.

    Args:
        history: all users' events, of what may be learnt from.
        items: V.
        regularisation: of EASE.
        decay: weight of a moment relative to the next newer one.
        cells: numbers that one matrix may hold. Where users x items are more, some users are drawn.
        seed: of that draw.

    Returns:
        "ease" and "item_knn"; empty where `cells` hold fewer than LEAST_USERS of the users.
    """
    learnt = history.take(np.flatnonzero(history.lengths > 0))
    if items <= len(learnt) and items * items <= cells:
        return {"ease": fit_ease(learnt, items, regularisation, decay), "item_knn": fit_cosine(learnt, items, decay)}
    room = min(len(learnt), cells // items)
    if room < min(len(learnt), LEAST_USERS):
        return {}
    drawn = learnt.take(np.sort(np.random.default_rng(seed).permutation(len(learnt))[:room]))
    return {"ease": factored_ease(drawn, items, regularisation, decay), "item_knn": factored_cosine(drawn, items, decay)}


def _touched(history: Sequences, items: int) -> Float32:
    return (recency(history, items, 1.0) > 0).astype(np.float32)
