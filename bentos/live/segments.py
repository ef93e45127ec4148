"""What is popular in the shop's segments, as one worker knows it: counted in the live store when it starts and every ten minutes, in the background.

No request waits for it. Until it has been counted, and for a release that has just taken over, there is none; while the store is away, the last.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator

from bentos.live.live_store import LiveStore
from bentos.live.poller import Poller
from footfall.core.segments import SegmentShares, SegmentTally
from footfall.errors import FootfallError
from footfall.recommender import Recommender
from footfall.rules import segments_of
from footfall.store import segments

logger = logging.getLogger("footfall.service")

REFRESH_S = 600.0
RETRY_S = 30.0
DAYS = 28
"""Of purchases, up to the newest event: a store that holds an older time has what was popular then."""
PAGE = 500
"""Users whose purchases are read at a time."""
BREATH_S = 0.01
"""Between two pages, for whoever is answered meanwhile."""
MOST_WORDS, LONGEST_WORD = 20_000, 128
"""Segments that are looked at for the large ones, and the characters of their names. Users come in the order of their pseudonyms, which is none:
a large segment is among the first so many, whatever else stands in attributes."""

_DAY_US = 86_400_000_000
_Told = list[tuple[str, frozenset[str]]]


class Segments:
    """What is popular in segments, for the release that serves."""

    def __init__(self, store: LiveStore, ranker: Callable[[], Recommender | None]) -> None:
        """Nothing is counted yet; `ranker` is asked which release serves."""
        self._store, self._ranker = store, ranker
        self._known: SegmentShares | None = None
        self._last: Recommender | None = None
        self._due = 0.0
        self._poller = Poller("segments", self._look_when_due, purpose="count what is popular in segments")

    def start(self) -> None:
        """Count in a second, and then every ten minutes."""
        self._poller.start()

    def close(self) -> None:
        """Count no more."""
        self._poller.close()

    def of(self, ranker: Recommender) -> SegmentShares | None:
        """What is popular in each segment, for this release; None where that is not known of any."""
        known = self._known
        return known if known is not None and known.rows and known.vocabulary is ranker.vocabulary else None

    def look(self, *, breath_s: float = 0.0) -> None:
        """Count anew; what cannot be read stays as it was, and is tried again in half a minute."""
        ranker = self._ranker()
        self._last = ranker
        if ranker is None:
            return
        try:
            self._known = self._counted(ranker, breath_s)
            self._due = time.monotonic() + REFRESH_S
        except FootfallError as error:
            logger.warning("what is popular in segments stays as it was: %s", error.what)
            self._due = time.monotonic() + RETRY_S

    def _counted(self, ranker: Recommender, breath_s: float) -> SegmentShares | None:
        """Two ways through the users: which segments are large, then what these bought. None where the service ends meanwhile."""
        end_us = self._store.call(segments.last_moment, time.time_ns() // 1000) + 1
        users: Counter[str] = Counter()
        for page in self._pages(breath_s):
            for _, words in page:
                users.update(words if len(users) < MOST_WORDS else [word for word in words if word in users])
        tally = SegmentTally(ranker.vocabulary, users)
        for page in self._pages(breath_s) if tally.segments else ():
            mine = {user_id: words for user_id, words in page if not tally.segments.isdisjoint(words)}
            for user_id, bought in self._store.call(segments.bought, list(mine), end_us - DAYS * _DAY_US, end_us).items():
                tally.add(mine[user_id], bought)
        return None if self._poller.stopping else tally.shares(ranker.bundle.popularity)

    def _pages(self, breath_s: float) -> Iterator[_Told]:
        after = ""
        while not self._poller.stopping and (page := self._store.call(segments.told, after, PAGE)):
            yield [(user_id, _words(attributes)) for user_id, attributes in page]
            after = page[-1][0]
            self._poller.pause(breath_s)

    def _look_when_due(self) -> None:
        if time.monotonic() >= self._due or self._ranker() is not self._last:
            self._due = time.monotonic() + RETRY_S  # for the case that nobody foresaw
            self.look(breath_s=BREATH_S)


def _words(attributes: dict[str, object]) -> frozenset[str]:
    return frozenset(word for word in segments_of(attributes) if len(word) <= LONGEST_WORD)
