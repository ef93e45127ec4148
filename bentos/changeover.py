"""Which release serves: the champion pointer is read each second, and a new champion takes over once it is open, verified and warm.

The old one stays until then, and as long as a request still uses it. A champion that cannot be opened changes nothing: the log and
the metrics say so, and it is tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bentos.live_store import LiveStore
from bentos.measures import Measures
from footfall.bundle import release_id
from footfall.errors import BundleError, FootfallError, StoreError
from footfall.recommender import History, Recommender, Wishes
from footfall.store import erasures, releases

logger = logging.getLogger("footfall.service")

POLL_S = 1.0
RETRY_S = 30.0
"""A champion that could not be opened is tried again after so long."""

_WARM_UP_AT_US = 4_102_444_800_000_000  # 2100-01-01: later than every event


@dataclass(frozen=True)
class Champion:
    """The release that the store points at, and where its bundle lies."""

    release_id: str
    model_tag: str


class Changeover:
    """Holds the one reference to the ranker that serves."""

    def __init__(
        self,
        store: LiveStore,
        measures: Measures,
        open_ranker: Callable[[Path], Recommender],
        find_bundle: Callable[[str], Path],
        built_with: str | None = None,
    ) -> None:
        """Open the champion, or the release that the bento was built with, and begin to poll.

        Args:
            store: where the champion pointer is.
            measures: counts changeovers.
            open_ranker: opens and verifies a bundle.
            find_bundle: model tag -> folder.
            built_with: model tag to serve while the store has no champion or does not answer.
        """
        self._store, self._measures = store, measures
        self._open_ranker, self._find_bundle = open_ranker, find_bundle
        self._ranker: Recommender | None = None
        self._failed: tuple[str, float] | None = None
        self._erased = self._erased_before = 0
        self.failure: str | None = None
        self._stop = threading.Event()
        self.look()
        if self._ranker is None and built_with is not None:
            self._change(Champion(built_with.partition(":")[2], built_with))
        self._thread = threading.Thread(target=self._poll, name="footfall-changeover", daemon=True)
        self._thread.start()

    @property
    def ranker(self) -> Recommender | None:
        """What serves now; None until a first release could be opened."""
        return self._ranker

    def close(self) -> None:
        """Stop polling."""
        self._stop.set()
        self._thread.join(5.0)

    def look(self) -> None:
        """Read the pointer once, and change over when it names another release."""
        try:
            self._forget_the_erased()
            wanted = self._store.call(releases.champion_id)
            self._measures.note_store(away=False)
            if wanted is None or (self._ranker is not None and self._ranker.release_id == wanted):
                return
            if self._failed is not None and self._failed[0] == wanted and time.monotonic() < self._failed[1]:
                return
            record = self._store.call(releases.get, wanted)
        except StoreError:
            self._measures.note_store(away=True)  # what serves goes on serving; the store has said so in the log
            return
        self._change(Champion(record.release_id, record.model_tag))

    def _forget_the_erased(self) -> None:
        """What was read of histories goes when anybody has been erased, and once more a second later: a request may have been under way."""
        erased = self._store.call(erasures.count)
        if erased != self._erased_before and self._ranker is not None:
            self._ranker.forget()
        self._erased, self._erased_before = erased, self._erased

    def _change(self, champion: Champion) -> None:
        started = time.monotonic()
        try:
            folder = self._find_bundle(champion.model_tag)
            _require_release(release_id(folder), champion, folder)
            ranker = self._open_ranker(folder)
            _require_release(ranker.release_id, champion, folder)
            warm_up(ranker)
        except Exception as error:  # whatever a foreign bundle does to its reader, what serves goes on; it is logged, counted and said
            self.failure = f"{champion.release_id}: {error.what if isinstance(error, FootfallError) else type(error).__name__}"
            self._failed = (champion.release_id, time.monotonic() + RETRY_S)
            self._measures.note_refused_release(champion.release_id)
            serving = "none" if self._ranker is None else self._ranker.release_id
            about = {"release": champion.release_id}
            logger.exception("release %s cannot be served; %s goes on", champion.release_id, serving, extra=about)
            return
        before, self._ranker = self._ranker, ranker
        self._failed = self.failure = None
        self._measures.note_release(ranker.release_id, None if before is None else before.release_id)
        taken, old = time.monotonic() - started, before and before.release_id
        logger.info("release %s serves, opened in %.1f s; before: %s", ranker.release_id, taken, old, extra={"release": ranker.release_id})

    def _poll(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.look()
            except Exception:  # the thread must outlive whatever one look meets; it is logged, and the next second looks again
                logger.exception("could not look for a new release")


def _require_release(found: str, champion: Champion, folder: Path) -> None:
    if found != champion.release_id:
        raise BundleError("another bundle lies in the release's place", where=folder, expected=champion.release_id, found=found)


def warm_up(ranker: Recommender) -> None:
    """Answer a few requests that nobody asked, so that the first real one is as quick as the others.

    Raises:
        ValueError: the ranker gives no items, or scores that are no numbers.
    """
    first = ranker.recommend(ranker.encode([History([], [], [])]), _WARM_UP_AT_US, Wishes(), "fused")[0]
    seen = [line.item_id for line in first.items]
    history = History(seen, ["purchase"] * len(seen), [_WARM_UP_AT_US - 86_400_000_000 * (n + 1) for n in range(len(seen))][::-1])
    for _ in range(3):
        slate = ranker.recommend(ranker.encode([history]), _WARM_UP_AT_US, Wishes(), "fused")[0]
    if not slate.items or slate.degraded is not None:
        raise ValueError(f"no usable slate from {ranker.release_id}: {slate.degraded}")
