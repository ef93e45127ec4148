"""Which releases serve: the store's pointers are read each second, and a new champion takes over once it is open, verified and warm.

The old one stays until then, and as long as a request still uses it. A champion that cannot be opened changes nothing: the log and
the metrics say so, and it is tried again. Shadow and canary are `arms`'.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from bentos.live.live_store import LiveStore
from bentos.live.poller import Poller
from bentos.measures import Measures
from bentos.releases.arms import Arms
from bentos.releases.opening import Attempts, Opener
from footfall.errors import StoreError
from footfall.recommender import Recommender
from footfall.store import arms, erasures
from footfall.store.arms import CHAMPION, Pointer

logger = logging.getLogger("footfall.service")


class Changeover:
    """Holds the one reference to the ranker that serves.

    Attributes:
        arms: the releases beside it.
    """

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
            store: where the pointers are.
            measures: counts changeovers.
            open_ranker: opens and verifies a bundle.
            find_bundle: model tag -> folder.
            built_with: model tag to serve while the store has no champion or does not answer.
        """
        self._store, self._measures = store, measures
        self._opener = Opener(open_ranker, find_bundle)
        self._attempts = Attempts(self._opener)
        self.arms = Arms(measures, self._opener)
        self._ranker: Recommender | None = None
        self._erased = self._erased_before = 0
        self.look()
        if self._ranker is None and built_with is not None:
            self._change(Pointer(CHAMPION, built_with.partition(":")[2], built_with))
        self._poller = Poller("changeover", self.look, purpose="look for a new release")
        self._poller.start()

    @property
    def ranker(self) -> Recommender | None:
        """What serves now; None until a first release could be opened."""
        return self._ranker

    @property
    def failure(self) -> str | None:
        """Which champion could not be opened, and why."""
        return self._attempts.failure

    def prepare_with(self, prepare: Callable[[Recommender], None]) -> None:
        """Do this, too, with what serves and with each release before it serves."""
        self._opener.prepare = prepare
        if self._ranker is not None:
            prepare(self._ranker)

    def close(self) -> None:
        """Stop polling."""
        self._poller.close()
        self.arms.close()

    def look(self) -> None:
        """Read the pointers once, and change over when they name other releases."""
        try:
            self._forget_the_erased()
            wanted = self._store.call(arms.pointers)
        except StoreError:
            self._measures.note_store(away=True)  # what serves goes on serving; the store has said so in the log
            return
        self._measures.note_store(away=False)
        champion = wanted.pop(CHAMPION, None)
        promoted = None if champion is None or self._serves(champion) else self.arms.ranker_of(champion.release_id)
        if promoted is not None:  # it is open and warm
            self._attempts.settle()
            self._serve(promoted, 0.0)
        self.arms.settle(wanted)
        if champion is not None and not self._serves(champion) and not self._attempts.rests(champion.release_id):
            self._change(champion)

    def _serves(self, champion: Pointer) -> bool:
        return self._ranker is not None and self._ranker.release_id == champion.release_id

    def _forget_the_erased(self) -> None:
        """What was read of histories goes when anybody has been erased, and once more a second later: a request may have been under way."""
        erased = self._store.call(erasures.count)
        if erased != self._erased_before:
            for ranker in (self._ranker, *self.arms.rankers):
                if ranker is not None:
                    ranker.forget()
        self._erased, self._erased_before = erased, self._erased

    def _change(self, champion: Pointer) -> None:
        started = time.monotonic()
        try:
            ranker = self._attempts.open(champion)
        except Exception:  # whatever a foreign bundle does to its reader, what serves goes on; it is logged, counted and said
            self._measures.note_refused_release(champion.release_id)
            serving = "none" if self._ranker is None else self._ranker.release_id
            about = {"release": champion.release_id}
            logger.exception("release %s cannot be served; %s goes on", champion.release_id, serving, extra=about)
            return
        self._serve(ranker, time.monotonic() - started)

    def _serve(self, ranker: Recommender, taken: float) -> None:
        before, self._ranker = self._ranker, ranker
        old = None if before is None else before.release_id
        self._measures.note_release(ranker.release_id, old)
        logger.info("release %s serves, opened in %.1f s; before: %s", ranker.release_id, taken, old, extra={"release": ranker.release_id})
