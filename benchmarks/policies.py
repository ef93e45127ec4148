"""Policies that need no gradient, as the quality races put them beside the sequence model: histories in, a score an item out."""

from __future__ import annotations

import numpy as np

from benchmarks.leave_one_out import Scores
from footfall.core.baselines import TIE_BREAK, personal_frequency
from footfall.core.closed_form import fit_cosine, fit_ease
from footfall.core.sequences import Sequences

EASE, COSINE, POPULARITY, PERSONAL = "ease", "cosine", "popularity", "personal_frequency"
DECAY, REGULARISATION = 0.7, 100.0
HALF_LIFE_DAYS = 90.0
DENSE_ITEMS = 30_000
"""Above it nothing dense of items x items is fitted."""


def closed_forms(history: Sequences, items: int) -> dict[str, Scores]:
    """What needs no gradient, learnt from these histories: popularity, personal frequency, EASE and item-kNN (cosine), both read with recency."""
    counts = item_counts(history, items)
    found: dict[str, Scores] = {POPULARITY: popular(counts), PERSONAL: habits(counts)}
    if items <= DENSE_ITEMS:
        found |= {EASE: fit_ease(history, items, REGULARISATION, DECAY).scores, COSINE: fit_cosine(history, items, DECAY).scores}
    return found


def item_counts(history: Sequences, items: int) -> np.ndarray:
    """(V,) events of item_index 1, 2, ..."""
    return np.bincount(history.item_index, minlength=items + 1)[1:]


def popular(counts: np.ndarray) -> Scores:
    """The same scores for everybody."""
    row = counts.astype(np.float32)
    return lambda history: np.tile(row, (len(history), 1))


def habits(counts: np.ndarray) -> Scores:
    """Each user's own items, a purchase counting half after 90 days (or, in a file without times, 90 events); what is popular comes after them."""
    after = TIE_BREAK * counts / max(float(counts.max(initial=0)), 1.0)
    return lambda history: personal_frequency(history, len(counts), HALF_LIFE_DAYS) + after
