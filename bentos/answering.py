"""From a checked request to a slate, or to stored events: what the routes call."""

from __future__ import annotations

import logging
import time
import uuid
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from bentos.answers import because_json, policy_of, row_json, slate_json
from bentos.asking import HomeRequest, ItemsRequest, ScoreRequest, Shelf, Shopper, SlateRequest
from bentos.changeover import Changeover
from bentos.live_store import LiveStore
from bentos.measures import Measures
from bentos.ranking import Ranking
from bentos.segments import Segments
from bentos.shop_window import Shop, ShopWindow
from bentos.shoppers import NOTHING, Known, Shoppers
from bentos.shown import Showing
from bentos.waiting import heed, patience_now
from bentos.web.problems import busy
from bentos.writer import QueueFullError, Row, Writer
from footfall.core.exploration import Exploration
from footfall.core.metrics import Float64
from footfall.core.parts import NO_HISTORY, SCORES_NOT_FINITE
from footfall.core.rules import Ruling
from footfall.core.slates import Drawing
from footfall.home import home_page
from footfall.recommender import POPULARITY, History, Recommender, Scored, Slate, Wishes
from footfall.store.events import Appended

logger = logging.getLogger("footfall.service")

ARM = "champion"
MODEL_FAILED = "model_failed"
_CART = "cart"
_UNSCORED = (NO_HISTORY, SCORES_NOT_FINITE, MODEL_FAILED)
"""Why a user gets what is popular."""
_NOTHING_DRAWN = Exploration()


class Answering:
    """The service without its HTTP.

    Args:
        store, writer, changeover, measures: its parts.
        exploration: how much of each user's slate is left to chance.
    """

    def __init__(
        self, store: LiveStore, writer: Writer, changeover: Changeover, measures: Measures, exploration: Exploration = _NOTHING_DRAWN
    ) -> None:
        self._store, self._writer, self._changeover, self._measures = store, writer, changeover, measures
        self._exploration, self._showing = exploration, Showing(measures)
        self._ranking = Ranking()
        self.shop_window = ShopWindow(store)
        self.shop_window.look()
        self.segments = Segments(store, lambda: changeover.ranker)
        self._shoppers = Shoppers(store, self.segments)

    @property
    def store(self) -> LiveStore:
        """Where the shop's own words are kept."""
        return self._store

    @property
    def ready(self) -> bool:
        """Whether a release is open and warm."""
        return self._changeover.ranker is not None

    def start(self) -> None:
        """Look each second for what the shop says, and now and then for what is popular in its segments."""
        self.shop_window.start()
        self.segments.start()

    def close(self) -> None:
        """Look no more."""
        self.shop_window.close()
        self.segments.close()

    def describe(self) -> dict[str, Any]:
        """What serves, for operators."""
        import footfall

        ranker = self._changeover.ranker
        return {
            "release": None if ranker is None else ranker.release_id,
            "failed": self._changeover.failure,
            "store": "away" if self._store.away else "ready",
            "code": footfall.__file__,
        }

    def recommend(self, request: SlateRequest, *, request_id: str | None = None, shown: bool = True) -> dict[str, Any]:
        """Answer one slate request and log the exposure of a user's; blocks for a millisecond or some.

        Args:
            request: what is asked.
            request_id: of the slate; a new one where none is given.
            shown: whether somebody will see it; what nobody sees is no exposure.

        Raises:
            Problem: 503, no release is open yet.
        """
        started = time.perf_counter()
        ranker, shop = self._open()
        known = self._shoppers.known(request.shopper, ranker, ruled=len(shop.book) > 0)
        request_id = request_id or _new_id()
        wishes = self._wishes(request.shelf, shop, request.shopper, known.segments, request_id)
        slate = self._slate(ranker, request.shopper, known, wishes)
        if shown:
            self._log(request.shopper, request_id, ranker.release_id, slate)
            self._showing.count(ranker, slate, known.degraded)
        self._measures.time_slate(ranker.release_id, time.perf_counter() - started)
        found = {"request_id": request_id, "release": ranker.release_id, "arm": ARM, **slate_json(slate, known.degraded)}
        if request.explain:
            found["because"] = because_json(ranker, known.history, request.shopper.at_us, slate)
        return found

    def similar(self, request: ItemsRequest) -> dict[str, Any]:
        """What may be bought in the place of an item.

        Raises:
            Problem: 503, no release is open yet.
        """
        ranker, shop = self._open()
        wishes = self._wishes(request.shelf, shop, Shopper(None, request.at_us), frozenset(), None)
        slate = ranker.similar(request.item_ids[0], wishes, shop.facts)
        self._showing.count(ranker, slate)
        return {"release": ranker.release_id, **slate_json(slate)}

    def complementary(self, request: ItemsRequest) -> dict[str, Any]:
        """What is bought with some items.

        Raises:
            Problem: 503, no release is open yet.
        """
        ranker, shop = self._open()
        wishes = self._wishes(request.shelf, shop, Shopper(None, request.at_us), frozenset(), None)
        slate = ranker.complementary(request.item_ids, wishes, shop.facts)
        self._showing.count(ranker, slate)
        return {"release": ranker.release_id, **slate_json(slate)}

    def score(self, request: ScoreRequest) -> dict[str, Any]:
        """How some items stand with a shopper, without rules.

        Raises:
            Problem: 503, no release is open yet.
        """
        ranker, shop = self._open()
        known = self._shoppers.known(request.shopper, ranker, ruled=len(shop.book) > 0)
        scored: Scored = ranker.score(ranker.encode([known.history]), request.shopper.at_us, [request.item_ids])[0]
        popular = self._popular(ranker, request.shopper, known, scored.degraded)
        if popular is not None:
            scored = Scored(ranker.read_scores(popular, request.item_ids), scored.degraded)
        items = [{"item_id": item_id, "score": score} for item_id, score in zip(request.item_ids, scored.scores, strict=True)]
        return {"release": ranker.release_id, "degraded": known.degraded or scored.degraded, "items": items}

    def home(self, request: HomeRequest) -> dict[str, Any]:
        """A page of rows, each an exposure of its own for a user.

        Raises:
            Problem: 503, no release is open yet.
        """
        ranker, shop = self._open()
        known = self._shoppers.known(request.shopper, ranker, ruled=len(shop.book) > 0)
        wishes = self._wishes(request.shelf, shop, request.shopper, known.segments, _new_id())
        page = partial(home_page, ranker, ranker.encode([known.history]), request.shopper.at_us)
        rows = page(wishes, shop.facts, request.rows, _new_id)
        popular = self._popular(ranker, request.shopper, known, next((row.slate.degraded for row in rows if row.slate.degraded in _UNSCORED), None))
        if popular is not None:
            rows = page(replace(wishes, popular=popular), shop.facts, request.rows, _new_id)
        for row in rows:
            self._log(request.shopper, row.request_id, ranker.release_id, row.slate)
            self._showing.count(ranker, row.slate, known.degraded)
        found = [row_json(row) for row in rows]
        degraded = known.degraded or next((row.slate.degraded for row in rows if row.slate.degraded), None)
        return {"release": ranker.release_id, "arm": ARM, "degraded": degraded, "rows": found}

    def append(self, rows: list[Row]) -> Future[Appended]:
        """Queue events for the store.

        Raises:
            Problem: 503, too many wait already.
        """
        try:
            return self._writer.append_events(rows)
        except QueueFullError as error:
            raise busy("too many events wait to be stored") from error

    def _open(self) -> tuple[Recommender, Shop]:
        ranker = self._changeover.ranker
        if ranker is None:
            raise busy("no release is open yet")
        return ranker, self.shop_window.of(ranker.vocabulary)

    def _wishes(self, shelf: Shelf, shop: Shop, shopper: Shopper, segments: frozenset[str], request_id: str | None) -> Wishes:
        """What the slate must be, and who has a say in it."""
        withdrawn = shop.facts.withdrawn
        allowed = ~withdrawn if withdrawn.any() else None
        if shelf.filters is not None:
            passing = shelf.filters.passing(shop.facts, shopper.at_us)
            allowed = passing if allowed is None else passing & allowed
        drawn = self._exploration.rate > 0 and request_id is not None and shopper.user_id is not None
        return Wishes(
            shelf.k,
            shelf.exclude,
            allowed,
            unbought=shelf.unbought,
            diversity=shelf.diversity,
            context=shelf.context,
            cart=shelf.place == _CART,
            ruling=Ruling(shop.book, shelf.place, segments, shopper.at_us) if len(shop.book) else None,
            drawing=Drawing(self._exploration, request_id) if drawn and request_id is not None else None,
        )

    def _slate(self, ranker: Recommender, shopper: Shopper, known: Known, wishes: Wishes) -> Slate:
        """The slate, of what is popular in the shopper's segments where the shopper cannot be scored and they are known."""
        slate = self._rank(ranker, known.history, shopper.at_us, wishes)
        popular = self._popular(ranker, shopper, known, slate.degraded)
        if popular is None:
            return slate
        history = NOTHING if slate.degraded == MODEL_FAILED else known.history  # the history may be what the release failed on
        wishes = replace(wishes, popular=popular)
        return replace(ranker.recommend(ranker.encode([history]), shopper.at_us, wishes, POPULARITY)[0], degraded=slate.degraded)

    def _popular(self, ranker: Recommender, shopper: Shopper, known: Known, degraded: str | None) -> Float64 | None:
        return self._shoppers.popular(shopper, known, ranker) if degraded in _UNSCORED else None

    def _rank(self, ranker: Recommender, history: History, at_us: int, wishes: Wishes) -> Slate:
        try:
            return self._ranking.rank(ranker, history, at_us, wishes)
        except (RuntimeError, ArithmeticError, ValueError, IndexError, MemoryError):
            logger.exception("release %s failed on a request; the popular items are shown", ranker.release_id)
        return replace(ranker.recommend(ranker.encode([NOTHING]), at_us, wishes, POPULARITY)[0], degraded=MODEL_FAILED)

    def _log(self, shopper: Shopper, request_id: str, release_id: str, slate: Slate) -> None:
        if shopper.user_id is None:  # of who is nobody in particular nothing is kept
            return
        heed(patience_now())  # a slate that nobody gets was shown to nobody
        self._writer.log_exposures(
            [
                # in the order of the EXPOSURES contract
                (
                    *(request_id, line.position, line.item_id, line.score, line.propensity, policy_of(slate), line.reason),
                    *(shopper.user_id, shopper.at_us, release_id, ARM),
                )
                for line in slate.items
            ]
        )


def _new_id() -> str:
    return uuid.uuid4().hex
