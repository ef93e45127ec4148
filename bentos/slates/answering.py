"""From a checked request to a slate, or to stored events: what the routes call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bentos.live.live_store import LiveStore
from bentos.live.segments import Segments
from bentos.live.shop_window import Shop, ShopWindow
from bentos.live.writer import QueueFullError, Row, Writer
from bentos.measures import Measures
from bentos.releases.arms import Served
from bentos.releases.changeover import Changeover
from bentos.slates.answers import because_json, policy_of, row_json, score_json, slate_json
from bentos.slates.asking import HomeRequest, ItemsRequest, ScoreRequest, Shelf, Shopper, SlateRequest
from bentos.slates.shadowing import Shadowing
from bentos.slates.shoppers import Known, Shoppers
from bentos.slates.shown import Showing
from bentos.slates.slating import Slating
from bentos.slates.waiting import heed, patience_now
from bentos.slates.wishing import wishes_of
from bentos.tracing import step
from bentos.web.problems import busy
from footfall.core.exploration import Exploration
from footfall.core.item_facts import CatalogueFacts
from footfall.core.slates import Drawing
from footfall.recommender import Recommender, Slate, Wishes
from footfall.store.arms import CHAMPION
from footfall.store.events import Appended

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
        self.shop_window = ShopWindow(store)
        self.shop_window.look()
        self.segments = Segments(store, lambda: changeover.ranker)
        self._shoppers = Shoppers(store, self.segments)
        self._slating = Slating(self._shoppers)
        self._shadowing = Shadowing(lambda: changeover.arms.shadow, self._unseen, measures)
        changeover.prepare_with(self._prepare)

    @property
    def store(self) -> LiveStore:
        """Where the shop's own words are kept."""
        return self._store

    @property
    def ready(self) -> bool:
        """Whether a release is open and warm."""
        return self._changeover.ranker is not None

    def start(self) -> None:
        """Look for what the shop says and for what is popular in its segments, and open shadow and canary."""
        self.shop_window.start()
        self.segments.start()
        self._changeover.arms.start()
        self._shadowing.start()

    def close(self) -> None:
        """Look no more."""
        self._shadowing.close()
        self._changeover.arms.close()
        self.shop_window.close()
        self.segments.close()

    def describe(self) -> dict[str, Any]:
        """What serves, for operators."""
        import footfall

        ranker = self._changeover.ranker
        return {
            "release": None if ranker is None else ranker.release_id,
            "failed": self._changeover.failure,
            "arms": self._changeover.arms.describe(),
            "store": "away" if self._store.away else "ready",
            "code": footfall.__file__,
        }

    def at_once(self, request: SlateRequest) -> bool:
        """Whether `recommend` would take so little, and nothing from the store, that a thread of its own costs more than it saves."""
        return request.shopper.user_id is None and not request.explain and self._slating.quick

    def recommend(self, request: SlateRequest, *, request_id: str | None = None, shown: bool = True) -> dict[str, Any]:
        """Answer one slate request and log the exposure of a user's; blocks for a millisecond or some.

        Args:
            request: what is asked.
            request_id: of the slate; a new one where none is given.
            shown: whether somebody will see it; what nobody sees is no exposure.

        Raises:
            Problem: 503, no release is open yet.
        """
        named = request_id or _new_id()

        def answer(served: Served) -> dict[str, Any]:
            return self._recommend(served, request, named, shown=shown)

        return self._changeover.arms.answer(self._champion(), request.shopper.user_id, answer)

    def _recommend(self, served: Served, request: SlateRequest, request_id: str, *, shown: bool) -> dict[str, Any]:
        started = time.perf_counter()
        ranker, shop = served.ranker, self.shop_window.of(served.ranker.vocabulary)
        known = self._known(request.shopper, ranker, shop)
        wishes = self._wishes(request.shelf, shop, request.shopper, known.segments, request_id)
        slate = self._slating.slate(served, request.shopper, known, wishes)
        self._measures.time_slate(ranker.release_id, time.perf_counter() - started)
        found = {"request_id": request_id, "release": ranker.release_id, "arm": served.arm, **slate_json(slate, known.degraded)}
        if request.explain:
            found["because"] = because_json(self._slating.explanations(served, request.shopper, known, slate))
        if shown:
            self._log(request.shopper, request_id, served, slate)
            self._showing.count(ranker, slate, known.degraded, served.arm)
            if served.arm == CHAMPION and request.shopper.user_id is not None and known.degraded is None:
                self._shadowing.offer(request, slate)
        return found

    def similar(self, request: ItemsRequest) -> dict[str, Any]:
        """What may be bought in the place of an item.

        Raises:
            Problem: 503, no release is open yet.
        """
        return self._beside(request, lambda ranker, wishes, facts: ranker.similar(request.item_ids[0], wishes, facts))

    def complementary(self, request: ItemsRequest) -> dict[str, Any]:
        """What is bought with some items.

        Raises:
            Problem: 503, no release is open yet.
        """
        return self._beside(request, lambda ranker, wishes, facts: ranker.complementary(request.item_ids, wishes, facts))

    def _beside(self, request: ItemsRequest, make: Callable[[Recommender, Wishes, CatalogueFacts], Slate]) -> dict[str, Any]:
        """A slate that belongs to items and to nobody, so that nothing is drawn and no exposure logged."""
        ranker, nobody = self._champion(), Shopper(None, request.at_us)
        shop = self.shop_window.of(ranker.vocabulary)
        wishes = self._wishes(request.shelf, shop, nobody, frozenset(), None)
        slate = self._slating.beside(Served(CHAMPION, ranker), nobody, wishes, lambda: make(ranker, wishes, shop.facts))
        self._showing.count(ranker, slate)
        return {"release": ranker.release_id, **slate_json(slate)}

    def score(self, request: ScoreRequest) -> dict[str, Any]:
        """How some items stand with a shopper, without rules.

        Raises:
            Problem: 503, no release is open yet.
        """
        return self._changeover.arms.answer(self._champion(), request.shopper.user_id, lambda served: self._score(served, request))

    def _score(self, served: Served, request: ScoreRequest) -> dict[str, Any]:
        ranker = served.ranker
        known = self._known(request.shopper, ranker, self.shop_window.of(ranker.vocabulary))
        scored = self._slating.scores(served, request.shopper, known, request.item_ids)
        return {"release": ranker.release_id, "degraded": known.degraded or scored.degraded, "items": score_json(request.item_ids, scored)}

    def home(self, request: HomeRequest) -> dict[str, Any]:
        """A page of rows, each an exposure of its own for a user.

        Raises:
            Problem: 503, no release is open yet.
        """
        return self._changeover.arms.answer(self._champion(), request.shopper.user_id, lambda served: self._home(served, request))

    def _home(self, served: Served, request: HomeRequest) -> dict[str, Any]:
        ranker, shop = served.ranker, self.shop_window.of(served.ranker.vocabulary)
        known = self._known(request.shopper, ranker, shop)
        wishes = self._wishes(request.shelf, shop, request.shopper, known.segments, _new_id())
        rows = self._slating.page(served, request.shopper, known, wishes, shop.facts, request.rows, _new_id)
        found = [row_json(row) for row in rows]
        for row in rows:
            self._log(request.shopper, row.request_id, served, row.slate)
            self._showing.count(ranker, row.slate, known.degraded, served.arm)
        degraded = known.degraded or next((row.slate.degraded for row in rows if row.slate.degraded), None)
        return {"release": ranker.release_id, "arm": served.arm, "degraded": degraded, "rows": found}

    def append(self, rows: list[Row]) -> Future[Appended]:
        """Queue events for the store.

        Raises:
            Problem: 503, too many wait already.
        """
        try:
            return self._writer.append_events(rows)
        except QueueFullError as error:
            raise busy("too many events wait to be stored") from error

    def _champion(self) -> Recommender:
        ranker = self._changeover.ranker
        if ranker is None:
            raise busy("no release is open yet")
        return ranker

    def _prepare(self, ranker: Recommender) -> None:
        """Before a release serves: what its first request would have to wait for."""
        self.shop_window.of(ranker.vocabulary)
        self._showing.tail_of(ranker)

    def _unseen(self, shadow: Recommender, request: SlateRequest) -> Slate | None:
        """The shadow's slate, with nothing left to chance; None where less is known of the user by now."""
        shop = self.shop_window.of(shadow.vocabulary)
        known = self._known(request.shopper, shadow, shop)
        if known.degraded is not None:
            return None
        wishes = self._wishes(request.shelf, shop, request.shopper, known.segments, None)
        return shadow.recommend(shadow.encode([known.history]), request.shopper.at_us, wishes)[0]

    def _known(self, shopper: Shopper, ranker: Recommender, shop: Shop) -> Known:
        return self._shoppers.known(shopper, ranker, ruled=len(shop.book) > 0)

    def _wishes(self, shelf: Shelf, shop: Shop, shopper: Shopper, segments: frozenset[str], request_id: str | None) -> Wishes:
        return wishes_of(shelf, shop, shopper, segments, None if request_id is None else Drawing(self._exploration, request_id))

    def _log(self, shopper: Shopper, request_id: str, served: Served, slate: Slate) -> None:
        if shopper.user_id is None:  # of who is nobody in particular nothing is kept
            return
        heed(patience_now())  # a slate that nobody gets was shown to nobody
        rows = [
            # in the order of the EXPOSURES contract
            (
                *(request_id, line.position, line.item_id, line.score, line.propensity, policy_of(slate), line.reason),
                *(shopper.user_id, shopper.at_us, served.ranker.release_id, served.arm),
            )
            for line in slate.items
        ]
        with step("log exposures"):
            self._writer.log_exposures(rows)


def _new_id() -> str:
    return uuid.uuid4().hex
