"""From a checked request to a slate, or to stored events: what the routes call."""

from __future__ import annotations

import logging
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from bentos.changeover import Changeover, Ranker
from bentos.live_store import LiveStore
from bentos.measures import Measures
from bentos.ranking import Ranking
from bentos.web.problems import busy
from bentos.writer import QueueFullError, Row, Writer
from footfall.contracts import C
from footfall.core.parts import NO_HISTORY, SCORES_NOT_FINITE
from footfall.core.slates import NOTHING_PASSES
from footfall.errors import StoreError
from footfall.recommender import History, Slate, Wishes
from footfall.store.events import Appended, UserHistory
from footfall.store.serving import read_user

logger = logging.getLogger("footfall.service")

ARM = "champion"
POPULARITY = "popularity_28d"
HISTORY_UNAVAILABLE = "history_unavailable"
NO_CONSENT = "no_consent"
MODEL_FAILED = "model_failed"
DEGRADED = (NO_HISTORY, HISTORY_UNAVAILABLE, NO_CONSENT, MODEL_FAILED, SCORES_NOT_FINITE, NOTHING_PASSES)
"""Why a slate may not be what was asked for."""
_NONE = UserHistory([], [], [])


@dataclass(frozen=True)
class SlateRequest:
    """What is asked for; `user_id` is a pseudonym already, moments are microseconds."""

    user_id: str | None
    at_us: int
    k: int = 10
    events: list[dict[str, Any]] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)


class Answering:
    """The service without its HTTP."""

    def __init__(self, store: LiveStore, writer: Writer, changeover: Changeover, measures: Measures) -> None:
        """Take the parts."""
        self._store, self._writer, self._changeover, self._measures = store, writer, changeover, measures
        self._ranking = Ranking()

    @property
    def store(self) -> LiveStore:
        """The live store, for what is neither a slate nor an event."""
        return self._store

    @property
    def ready(self) -> bool:
        """Whether a release is open and warm."""
        return self._changeover.ranker is not None

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

    def recommend(self, request: SlateRequest) -> dict[str, Any]:
        """Answer one slate request and log the exposure; blocks for some milliseconds.

        Raises:
            Problem: 503, no release is open yet.
        """
        started = time.perf_counter()
        ranker = self._changeover.ranker
        if ranker is None:
            raise busy("no release is open yet")
        history, degraded = self._history(request, ranker)
        slate = self._rank(ranker, history, request)
        degraded = degraded or slate.degraded
        request_id = uuid.uuid4().hex
        self._log(request, request_id, ranker.release_id, slate)
        self._measures.count_slate(ranker.release_id, degraded, time.perf_counter() - started)
        items = [{"position": line.position, "item_id": line.item_id, "score": line.score, "reason": line.reason} for line in slate.items]
        return {"request_id": request_id, "release": ranker.release_id, "degraded": degraded, "items": items}

    def append(self, rows: list[Row]) -> Future[Appended]:
        """Queue events for the store.

        Raises:
            Problem: 503, too many wait already.
        """
        try:
            return self._writer.append_events(rows)
        except QueueFullError as error:
            raise busy("too many events wait to be stored") from error

    def _history(self, request: SlateRequest, ranker: Ranker) -> tuple[History, str | None]:
        stored, degraded = _NONE, None
        if request.user_id is not None:
            try:
                consented, stored = self._store.call(read_user, request.user_id, request.at_us, ranker.history_events, ranker.reads_signals)
                if not consented:
                    return History([], [], []), NO_CONSENT
            except StoreError:
                degraded = HISTORY_UNAVAILABLE
        inline = request.events
        return History(
            stored.item_ids + [event.get(C.ITEM_ID) for event in inline],
            stored.event_types + [event[C.EVENT_TYPE] for event in inline],
            # an event of this very session without a moment happened just before the request
            stored.occurred_at_us + [event.get(C.OCCURRED_AT, request.at_us - 1) for event in inline],
            (stored.queries or [None] * len(stored.item_ids)) + [event.get(C.QUERY) for event in inline],
            (stored.durations_s or [None] * len(stored.item_ids)) + [event.get(C.DURATION_S) for event in inline],
        ), degraded

    def _rank(self, ranker: Ranker, history: History, request: SlateRequest) -> Slate:
        wishes = Wishes(request.k, request.exclude)
        try:
            return self._ranking.rank(ranker, history, request.at_us, wishes)
        except (RuntimeError, ArithmeticError, ValueError, IndexError, MemoryError):
            logger.exception("release %s failed on a request; the popular items are shown", ranker.release_id)
        nothing = ranker.encode([History([], [], [])])
        popular = ranker.recommend(nothing, request.at_us, wishes, POPULARITY)[0]
        return Slate(popular.items, popular.policy, MODEL_FAILED)

    def _log(self, request: SlateRequest, request_id: str, release_id: str, slate: Slate) -> None:
        if request.user_id is None:  # of who is nobody in particular nothing is kept
            return
        policy = slate.policy if slate.degraded is None else POPULARITY
        self._writer.log_exposures(
            [
                # in the order of the EXPOSURES contract
                (request_id, n, item_id, score, 1.0, policy, reason, request.user_id, request.at_us, release_id, ARM)
                for n, item_id, score, reason in slate.items
            ]
        )
