"""Ranks where a score is the product of two vectors: full ranking in chunks, and without the work that cannot change a figure at a cut-off."""

from __future__ import annotations

import numpy as np

from footfall.core.metrics import Bools, Floats, ranks
from footfall.core.sequences import Int32, Int64, Sequences

_USERS = 512  # ranked together: a chunk of scores stays in the cache at ten thousand items
_SCREEN = 8  # an eighth of the items is looked at first


def ranks_by_vectors(users: Floats, items: Floats, targets: Int32 | Int64, seen: Sequences | None = None, *, within: int | None = None) -> Int64:
    """`metrics.ranks` of the products of vectors; (U, V) is never held.

    Args:
        users: (U, d).
        items: (V, d); row j is item_index j + 1.
        targets, seen: as in `metrics.ranks`.
        within: the last cut-off that is of interest. Then a target which some of the items already put behind it is not ranked among all.

    Returns:
        (U,) ranks. With `within` those below it are exact, and all others are at least `within`: every figure at cut-offs up to it is the same.

    Raises:
        ValueError: what `metrics.ranks` refuses, or an item's vector holds NaN.
    """
    if np.isnan(items).any():
        raise ValueError("vectors hold NaN")
    found = np.zeros(len(users), np.int64) if within is None else _surely_before(users, items, targets, seen)
    left = np.arange(len(users)) if within is None else np.flatnonzero((found < within) | (targets == 0))
    scores = np.empty((min(_USERS, len(left)), len(items)), np.result_type(users, items))
    for first in range(0, len(left), _USERS):
        chunk = left[first : first + _USERS]
        product = np.matmul(users[chunk], items.T, out=scores[: len(chunk)])
        found[chunk] = ranks(product, targets[chunk], None if seen is None else seen.take(chunk))
    return found


def _surely_before(users: Floats, items: Floats, targets: Int32 | Int64, seen: Sequences | None) -> Int64:
    """(U,) lower bounds of the ranks: how many of the longest vectors score higher by more than rounding, as if all that was seen were among them."""
    norms = np.linalg.norm(items, axis=1)
    longest = items[np.argsort(-norms)[: len(items) // _SCREEN]]
    error = 4 * users.shape[1] * float(np.finfo(np.result_type(users, items)).eps) * float(norms.max(initial=0.0))
    before = np.empty(len(users), np.int64)
    for first in range(0, len(users), _USERS):
        chunk = slice(first, first + _USERS)
        own = np.einsum("ud,ud->u", users[chunk], items[targets[chunk] - 1])
        higher: Bools = users[chunk] @ longest.T > (own + error * np.linalg.norm(users[chunk], axis=1))[:, None]
        before[chunk] = [np.count_nonzero(row) for row in higher]
    return before if seen is None else before - seen.lengths
