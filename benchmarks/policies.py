"""Policies that need no gradient, as the quality races put them beside the sequence model: histories in, a score an item out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.figures import CUT
from benchmarks.leave_one_out import Fold, Scores, ndcg, ranks
from footfall.core.baselines import TIE_BREAK, personal_frequency
from footfall.core.factored import fit_within
from footfall.core.sequences import Sequences

EASE, COSINE, POPULARITY, PERSONAL = "ease", "cosine", "popularity", "personal_frequency"
DECAY, REGULARISATION = 0.7, 100.0
DECAYS, REGULARISATIONS = (DECAY, 0.5, 0.9, 1.0), (REGULARISATION, 300.0)
"""From which validation chooses; the earlier of equals."""
HALF_LIFE_DAYS = 90.0
CELLS, SEED = 200_000_000, 7
"""Numbers that one matrix of EASE or item-kNN may hold, and the seed by which users are drawn where there are too many."""
ASKED_USERS = 4_000
"""On whom settings are chosen, at most."""
_FITTED = {EASE: "ease", COSINE: "item_knn"}


@dataclass(frozen=True)
class Settings:
    """What is chosen for EASE and item-kNN.

    Attributes:
        regularisation: of EASE.
        decays: weight of an event relative to the next newer one, of each of the two.
        validation: masked ndcg@10 of each of the two alone, where it was asked.
    """

    regularisation: float = REGULARISATION
    decays: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(_FITTED, DECAY))
    validation: Mapping[str, float] = field(default_factory=dict)


def closed_forms(history: Sequences, items: int, settings: Settings | None = None) -> dict[str, Scores]:
    """What needs no gradient, learnt from these histories: popularity, personal frequency, EASE and item-kNN (cosine), both read with recency.

    The last two are left out where `CELLS` are too few for so many items.
    """
    settings, counts = settings or Settings(), item_counts(history, items)
    found: dict[str, Scores] = {POPULARITY: popular(counts), PERSONAL: habits(counts)}
    fitted = fit_within(history, items, settings.regularisation, DECAY, CELLS, SEED)
    return found | {name: replace(fitted[key], decay=settings.decays[name]).scores for name, key in _FITTED.items() if key in fitted}


def choose_settings(history: Sequences, validation: Fold, items: int) -> Settings | None:
    """The settings with the best masked validation ndcg@10 of each policy alone; None where the two are left out."""
    users = np.random.default_rng(SEED).permutation(len(validation.history))[:ASKED_USERS]
    asked = Fold(validation.history.take(np.sort(users)), validation.targets[np.sort(users)])
    tried = {regularisation: _by_decay(history, asked, items, regularisation) for regularisation in REGULARISATIONS}
    if not all(tried.values()):
        return None
    ease = {(regularisation, decay): figure for regularisation, found in tried.items() for decay, figure in found[EASE].items()}
    cosine = tried[REGULARISATIONS[0]][COSINE]
    (regularisation, of_ease), of_cosine = max(ease, key=ease.__getitem__), max(cosine, key=cosine.__getitem__)
    decays = {EASE: of_ease, COSINE: of_cosine}
    return Settings(regularisation, decays, {EASE: ease[regularisation, of_ease], COSINE: cosine[of_cosine]})


def _by_decay(history: Sequences, asked: Fold, items: int, regularisation: float) -> dict[str, dict[float, float]]:
    """Policy -> decay -> ndcg@10. What was fitted is gone afterwards: a matrix of Beauty's 12,101 items takes 585 MB."""
    fitted = fit_within(history, items, regularisation, DECAY, CELLS, SEED)
    found = {}
    for name, key in _FITTED.items() if fitted else ():
        parts = {str(decay): replace(fitted[key], decay=decay).scores for decay in DECAYS}
        ranked = ranks(asked, parts, {one: {one: 1.0} for one in parts}, masked=True)
        found[name] = {decay: ndcg(ranked[str(decay)], CUT) for decay in DECAYS}
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
