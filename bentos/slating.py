"""What one shopper is shown, whatever befalls the release that answers.

A canary fails aloud; where the champion fails, or the shopper cannot be scored, there is what is popular: in the own segments, where that is known.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from bentos.arms import Served
from bentos.asking import Shopper
from bentos.ranking import Ranking
from bentos.shoppers import NOTHING, Known, Shoppers
from bentos.tracing import step
from footfall.core.item_facts import CatalogueFacts
from footfall.core.metrics import Float64
from footfall.core.parts import NO_HISTORY, SCORES_NOT_FINITE
from footfall.home import Row, home_page
from footfall.recommender import POPULARITY, Recommender, Scored, Slate, Wishes
from footfall.store.arms import CANARY

logger = logging.getLogger("footfall.service")

MODEL_FAILED = "model_failed"
_UNSCORED = (NO_HISTORY, SCORES_NOT_FINITE, MODEL_FAILED)
"""Why a user gets what is popular."""


class Slating:
    """Slates, scores and pages of shoppers.

    Args:
        shoppers: knows what is popular in their segments.
    """

    def __init__(self, shoppers: Shoppers) -> None:
        self._shoppers = shoppers
        self._ranking, self._canary_ranking = Ranking(), Ranking()  # whom the champion answers does not wait for the canary

    @property
    def quick(self) -> bool:
        """Whether the champion would make a slate at once."""
        return self._ranking.quick

    def slate(self, served: Served, shopper: Shopper, known: Known, wishes: Wishes) -> Slate:
        """One slate.

        Raises:
            Exception: whatever a canary fails with.
        """
        ranker, slate = served.ranker, self._rank(served, shopper, known, wishes)
        popular = self._popular(ranker, shopper, known, slate.degraded)
        if popular is None:
            return slate
        history = NOTHING if slate.degraded == MODEL_FAILED else known.history  # the history may be what the release failed on
        wishes = replace(wishes, popular=popular)
        return replace(ranker.recommend(ranker.encode([history]), shopper.at_us, wishes, POPULARITY)[0], degraded=slate.degraded)

    def scores(self, served: Served, shopper: Shopper, known: Known, item_ids: list[str]) -> Scored:
        """How some items stand with the shopper."""
        ranker = served.ranker
        with step("rank"):
            scored: Scored = ranker.score(ranker.encode([known.history]), shopper.at_us, [item_ids])[0]
        served.require_finite([scored.degraded])
        popular = self._popular(ranker, shopper, known, scored.degraded)
        return scored if popular is None else Scored(ranker.read_scores(popular, item_ids), scored.degraded)

    def page(self, served: Served, shopper: Shopper, known: Known, wishes: Wishes, facts: CatalogueFacts, rows: int) -> list[Row]:
        """Rows of slates."""
        ranker = served.ranker
        history = ranker.encode([known.history])
        with step("rank"):
            page = home_page(ranker, history, shopper.at_us, wishes, facts, rows)
        served.require_finite(row.slate.degraded for row in page)
        unscored = next((row.slate.degraded for row in page if row.slate.degraded in _UNSCORED), None)
        popular = self._popular(ranker, shopper, known, unscored)
        return page if popular is None else home_page(ranker, history, shopper.at_us, replace(wishes, popular=popular), facts, rows)

    def _rank(self, served: Served, shopper: Shopper, known: Known, wishes: Wishes) -> Slate:
        ranker, at_us = served.ranker, shopper.at_us
        if served.arm == CANARY:
            with step("rank"):
                slate = self._canary_ranking.rank(ranker, known.history, at_us, wishes)
            served.require_finite([slate.degraded])
            return slate
        try:
            with step("rank"):
                return self._ranking.rank(ranker, known.history, at_us, wishes)
        except (RuntimeError, ArithmeticError, ValueError, IndexError, MemoryError):
            logger.exception("release %s failed on a request; the popular items are shown", ranker.release_id)
        return replace(ranker.recommend(ranker.encode([NOTHING]), at_us, wishes, POPULARITY)[0], degraded=MODEL_FAILED)

    def _popular(self, ranker: Recommender, shopper: Shopper, known: Known, degraded: str | None) -> Float64 | None:
        return self._shoppers.popular(shopper, known, ranker) if degraded in _UNSCORED else None
