"""What one shopper is shown, whatever befalls the release that answers.

A canary fails aloud; where the champion fails, or the shopper cannot be scored, there is what is popular: in the own segments, where that is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from bentos.releases.arms import Served
from bentos.slates.asking import Shopper
from bentos.slates.ranking import Ranking
from bentos.slates.shoppers import NOTHING, Known, Shoppers
from bentos.tracing import step
from bentos.web.problems import Problem
from footfall.core.item_facts import CatalogueFacts
from footfall.core.metrics import Float64
from footfall.core.parts import NO_HISTORY, SCORES_NOT_FINITE
from footfall.home import Row, home_page, popular_row
from footfall.recommender import EXPLAINED, POPULARITY, Explanation, Recommender, Scored, Slate, Wishes
from footfall.store.arms import CANARY, CHAMPION

logger = logging.getLogger("footfall.service")

T = TypeVar("T")

MODEL_FAILED = "model_failed"
_UNSCORED = (NO_HISTORY, SCORES_NOT_FINITE)
"""Why a user gets what is popular."""


class Slating:
    """Slates, scores and pages of shoppers.

    Args:
        shoppers: knows what is popular in their segments.
    """

    def __init__(self, shoppers: Shoppers) -> None:
        self._shoppers = shoppers
        # whom one release answers does not wait for the other, nor for explanations, which take a hundred times as long as a slate
        self._ranking, self._explaining = ({arm: Ranking() for arm in (CHAMPION, CANARY)} for _ in range(2))

    @property
    def quick(self) -> bool:
        """Whether the champion would make a slate at once."""
        return self._ranking[CHAMPION].quick

    def slate(self, served: Served, shopper: Shopper, known: Known, wishes: Wishes) -> Slate:
        """One slate.

        Raises:
            Exception: whatever a canary fails with.
        """
        slate = self._tried(served, lambda: self._ranking[served.arm].rank(served.ranker, known.history, shopper.at_us, wishes))
        if slate is None:
            return self._popular_slate(served.ranker, shopper, wishes, self._shoppers.popular(shopper, known, served.ranker))
        served.require_finite([slate.degraded])
        popular = self._popular(served.ranker, shopper, known, slate.degraded)
        if popular is None:
            return slate
        history, wishes = served.ranker.encode([known.history]), replace(wishes, popular=popular)
        return replace(served.ranker.recommend(history, shopper.at_us, wishes, POPULARITY)[0], degraded=slate.degraded)

    def scores(self, served: Served, shopper: Shopper, known: Known, item_ids: list[str]) -> Scored:
        """How some items stand with the shopper.

        Raises:
            Exception: whatever a canary fails with.
        """
        ranker = served.ranker

        def score() -> Scored:
            return ranker.score(ranker.encode([known.history]), shopper.at_us, [item_ids])[0]

        scored = self._tried(served, lambda: self._ranking[served.arm].take_turn(score))
        if scored is None:
            popular = self._shoppers.popular(shopper, known, ranker)
            row = ranker.scores(ranker.encode([NOTHING]), shopper.at_us, POPULARITY)[0] if popular is None else popular
            return Scored(ranker.read_scores(row, item_ids), MODEL_FAILED)
        served.require_finite([scored.degraded])
        popular = self._popular(ranker, shopper, known, scored.degraded)
        return scored if popular is None else Scored(ranker.read_scores(popular, item_ids), scored.degraded)

    def page(
        self, served: Served, shopper: Shopper, known: Known, wishes: Wishes, facts: CatalogueFacts, rows: int, new_id: Callable[[], str]
    ) -> list[Row]:
        """Rows of slates, each with its own request id; one row of popular items where the champion fails.

        Raises:
            Exception: whatever a canary fails with.
        """
        ranker = served.ranker

        def page_of(wishes: Wishes) -> list[Row]:
            return home_page(ranker, ranker.encode([known.history]), shopper.at_us, wishes, facts, rows, new_id)

        page = self._tried(served, lambda: self._ranking[served.arm].take_turn(lambda: page_of(wishes)))
        if page is None:
            popular = self._shoppers.popular(shopper, known, ranker)
            return [popular_row(new_id(), self._popular_slate(ranker, shopper, replace(wishes, drawing=None), popular))]
        served.require_finite(row.slate.degraded for row in page)
        unscored = next((row.slate.degraded for row in page if row.slate.degraded in _UNSCORED), None)
        popular = self._popular(ranker, shopper, known, unscored)
        return page if popular is None else self._ranking[served.arm].take_turn(lambda: page_of(replace(wishes, popular=popular)))

    def beside(self, served: Served, shopper: Shopper, wishes: Wishes, make: Callable[[], Slate]) -> Slate:
        """A slate that belongs to items; the popular ones where the champion fails on it."""
        slate = self._tried(served, make)
        return self._popular_slate(served.ranker, shopper, wishes, None) if slate is None else slate

    def explanations(self, served: Served, shopper: Shopper, known: Known, slate: Slate) -> list[Explanation]:
        """What carried each of the first items; nothing where the champion fails on it.

        Raises:
            Exception: whatever a canary fails with.
        """
        ranker = served.ranker

        def explain() -> list[Explanation]:
            columns = ranker.vocabulary.encode([line.item_id for line in slate.items[:EXPLAINED]]).astype(np.int64) - 1
            return ranker.explain(ranker.encode([known.history]), shopper.at_us, columns)

        return self._tried(served, lambda: self._explaining[served.arm].take_turn(explain), as_step="explain") or []

    @staticmethod
    def _popular_slate(ranker: Recommender, shopper: Shopper, wishes: Wishes, popular: Float64 | None) -> Slate:
        """Without a look at the history, which may be what the release failed on."""
        nobody = ranker.encode([NOTHING])
        return replace(ranker.recommend(nobody, shopper.at_us, replace(wishes, popular=popular), POPULARITY)[0], degraded=MODEL_FAILED)

    @staticmethod
    def _tried(served: Served, make: Callable[[], T], *, as_step: str = "rank") -> T | None:
        """What is made; None where the champion fails on it, which is logged. A canary's failure is raised."""
        try:
            with step(as_step):
                return make()
        except (Problem, TimeoutError):  # no fault of the release
            raise
        except Exception:  # whatever a champion does, somebody waits for an answer; it is logged, and the slate says so
            if served.arm == CANARY:
                raise
            logger.exception("release %s failed to %s; the answer does without", served.ranker.release_id, as_step)
            return None

    def _popular(self, ranker: Recommender, shopper: Shopper, known: Known, degraded: str | None) -> Float64 | None:
        return self._shoppers.popular(shopper, known, ranker) if degraded in _UNSCORED else None
