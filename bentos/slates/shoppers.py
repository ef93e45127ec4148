"""What is known of a shopper: the history, the segments, and what stands in for both where they say nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from bentos.live.live_store import LiveStore
from bentos.live.segments import Segments
from bentos.slates.asking import Shopper
from bentos.tracing import step
from footfall.contracts import C
from footfall.core.metrics import Float64
from footfall.errors import StoreError
from footfall.recommender import History, Recommender
from footfall.rules import segments_of
from footfall.store import shop_users
from footfall.store.events import UserHistory
from footfall.store.serving import StoredUser, read_user

HISTORY_UNAVAILABLE = "history_unavailable"
NO_CONSENT = "no_consent"
NOTHING = History([], [], [])
_NOBODY = StoredUser(True, UserHistory([], [], []))


@dataclass(frozen=True)
class Known:
    """What is known of a shopper.

    Attributes:
        history: stored events, then those of the request.
        segments: by the shop's words of the user, and by the request.
        degraded: why it is less than it should be.
        asked: whether the store was asked for the shop's words.
    """

    history: History
    segments: frozenset[str]
    degraded: str | None
    asked: bool = True


class Shoppers:
    """Reads what is known of shoppers."""

    def __init__(self, store: LiveStore, segments: Segments) -> None:
        """Read it there."""
        self._store, self._segments = store, segments

    def known(self, shopper: Shopper, ranker: Recommender, *, ruled: bool) -> Known:
        """History and segments; of who refused to be personalised nothing.

        Args:
            shopper: who is asked for.
            ranker: says how much of a history is read.
            ruled: whether merchant rules hold, which must know the segments.
        """
        stored, degraded = _NOBODY, None
        if shopper.user_id is not None:
            wanted = {"signals": ranker.reads_signals, "attributes": ruled}
            try:
                with step("read history"):
                    stored = self._store.call(read_user, shopper.user_id, shopper.at_us, ranker.history_events, **wanted)
                if not stored.consented:
                    return Known(NOTHING, frozenset(), NO_CONSENT)
            except StoreError:
                degraded = HISTORY_UNAVAILABLE
        asked = ruled or shopper.user_id is None or degraded is not None
        return Known(_together(stored.history, shopper), segments_of(stored.attributes) | shopper.segments, degraded, asked)

    def popular(self, shopper: Shopper, known: Known, ranker: Recommender) -> Float64 | None:
        """(V,) what is popular in the segments of a shopper who cannot be scored; None where they, or what is popular there, are not known.

        Only here, and only where no rule has asked before, the store is asked for the segments.
        """
        shares = self._segments.of(ranker)
        if shares is None:
            return None
        segments = known.segments
        if not known.asked and shopper.user_id is not None:
            with suppress(StoreError):  # it went away since the history was read; the log has said so
                segments |= segments_of(self._store.call(shop_users.attributes, shopper.user_id))
        return shares.popular(segments)


def _together(past: UserHistory, shopper: Shopper) -> History:
    inline = shopper.events
    return History(
        past.item_ids + [event.get(C.ITEM_ID) for event in inline],
        past.event_types + [event[C.EVENT_TYPE] for event in inline],
        # an event of this very session without a moment happened just before the request
        past.occurred_at_us + [event.get(C.OCCURRED_AT, shopper.at_us - 1) for event in inline],
        (past.queries or [None] * len(past.item_ids)) + [event.get(C.QUERY) for event in inline],
        (past.durations_s or [None] * len(past.item_ids)) + [event.get(C.DURATION_S) for event in inline],
    )
