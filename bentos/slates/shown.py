"""What is counted of the slates that are returned: why items stand there, what was drawn, what rules touched, how much is long tail."""

from __future__ import annotations

from collections import Counter
from weakref import WeakKeyDictionary

import numpy as np

from bentos.measures import Measures, Shown
from footfall.core.slices import tail_items
from footfall.recommender import Recommender, Slate
from footfall.store.arms import CHAMPION

TAIL_SHARE = 0.2
"""Of the purchases that a bundle's popularity counts: those of the long tail. As `evaluate.tail_share` has it, which no bundle knows."""


class Showing:
    """Counts slates."""

    def __init__(self, measures: Measures) -> None:
        """Count with these."""
        self._measures = measures
        self._tails: WeakKeyDictionary[Recommender, frozenset[str]] = WeakKeyDictionary()

    def count(self, ranker: Recommender, slate: Slate, degraded: str | None = None, arm: str = CHAMPION) -> None:
        """One slate returned; `degraded`: what is said of it where that is more than its own word."""
        tail = self.tail_of(ranker)
        self._measures.count_slate(
            ranker.release_id,
            Shown(
                degraded or slate.degraded,
                Counter(line.reason for line in slate.items),
                bool(slate.kept_out) or any(line.rules for line in slate.items),
                sum(line.propensity < 1 for line in slate.items),
                sum(line.item_id in tail for line in slate.items),
                arm,
            ),
        )

    def tail_of(self, ranker: Recommender) -> frozenset[str]:
        """Item ids of the long tail, found once a release."""
        known = self._tails.get(ranker)
        if known is None:
            known = self._tails[ranker] = long_tail(ranker)
        return known


def long_tail(ranker: Recommender) -> frozenset[str]:
    """Item ids of a release's long tail, by the purchases that its popularity counts."""
    counts = np.rint(ranker.bundle.popularity).astype(np.int64)
    return frozenset(item for item, rare in zip(ranker.vocabulary.item_ids, tail_items(counts, TAIL_SHARE), strict=True) if rare)
