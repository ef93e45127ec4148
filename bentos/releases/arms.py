"""Shadow and canary beside the champion: opened one by one in the background, and let go when the store names them no more.

The canary answers a share of the users, always the same ones (`core.assignment`); where it is not open yet, or fails on a request, the champion
answers, and the answer says so. Who asks as nobody in particular is the champion's. The shadow answers nobody (`shadowing`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bentos.live.poller import Poller
from bentos.measures import Measures
from bentos.releases.opening import Attempts, Opener
from bentos.web.problems import Problem
from footfall.core.assignment import takes_part
from footfall.core.parts import SCORES_NOT_FINITE
from footfall.recommender import Recommender
from footfall.store.arms import BESIDE, CANARY, CHAMPION, SHADOW, Pointer

logger = logging.getLogger("footfall.service")

T = TypeVar("T")


@dataclass(frozen=True)
class Served:
    """Who answers a request: an arm, and the release that is open in it."""

    arm: str
    ranker: Recommender

    def require_finite(self, degraded: Iterable[str | None]) -> None:
        """Let the champion answer where a canary's scores are no numbers; the champion's own slate says it itself.

        Raises:
            ArithmeticError: they are none.
        """
        if self.arm == CANARY and SCORES_NOT_FINITE in degraded:
            raise ArithmeticError("scores are not finite")


@dataclass(frozen=True)
class _Open:
    ranker: Recommender
    share: float


class Arms:
    """The releases that are open beside the champion, one an arm."""

    def __init__(self, measures: Measures, opener: Opener) -> None:
        """Nothing is open, and nothing is opened before `start`."""
        self._measures = measures
        self._attempts = {arm: Attempts(opener) for arm in BESIDE}
        self._wanted: dict[str, Pointer] = {}
        self._open: dict[str, _Open] = {}
        self._turn = threading.Lock()
        self._poller = Poller("arms", self.open_wanted, purpose="open shadow or canary")

    @property
    def rankers(self) -> list[Recommender]:
        """Of all that are open."""
        return [one.ranker for one in self._open.values()]

    @property
    def shadow(self) -> Recommender | None:
        """The shadow, where it is open."""
        found = self._open.get(SHADOW)
        return None if found is None else found.ranker

    def start(self) -> None:
        """Open what is wanted from now on."""
        self._poller.start()

    def close(self) -> None:
        """Open nothing more."""
        self._poller.close()

    def ranker_of(self, release_id: str) -> Recommender | None:
        """A release, where it is open here."""
        return next((ranker for ranker in self.rankers if ranker.release_id == release_id), None)

    def answer(self, champion: Recommender, user_id: str | None, ask: Callable[[Served], T]) -> T:
        """What the user's arm answers; the champion, where the canary cannot.

        Args:
            champion: what serves.
            user_id: a pseudonym; None: nobody in particular.
            ask: answers; it leaves no trace before it has the whole answer.
        """
        canary = self._canary_of(user_id)
        if canary is not None:
            try:
                return ask(Served(CANARY, canary))
            except (Problem, TimeoutError):  # no fault of the release
                raise
            except Exception:  # whatever a canary does, its users are answered; it is logged and counted
                self._measures.count_canary_failure(canary.release_id)
                logger.exception("canary %s failed on a request; the champion answers", canary.release_id, extra={"release": canary.release_id})
        return ask(Served(CHAMPION, champion))

    def settle(self, wanted: Mapping[str, Pointer]) -> None:
        """Let go what is not wanted any more, and take other shares; what is not open yet is opened in the background.

        Args:
            wanted: arm -> pointer.
        """
        with self._turn:
            self._wanted = {arm: wanted[arm] for arm in BESIDE if arm in wanted}
            rankers = {ranker.release_id: ranker for ranker in self.rankers}
            asked = self._wanted.items()
            self._become({arm: _Open(rankers[one.release_id], one.share) for arm, one in asked if one.release_id in rankers})

    def open_wanted(self) -> None:
        """Open what is wanted and not open yet, one after the other."""
        for arm in BESIDE:
            pointer = self._wanted.get(arm)
            if pointer is None or arm in self._open or self._attempts[arm].rests(pointer.release_id):
                continue
            about = {"release": pointer.release_id}
            try:
                ranker = self._attempts[arm].open(pointer)
            except Exception:  # whatever a foreign bundle does to its reader, what serves goes on; it is logged, counted and said
                self._measures.note_arm(arm, pointer.release_id, "failed")
                logger.exception("release %s cannot be %s; the champion goes on", pointer.release_id, arm, extra=about)
                continue
            with self._turn:
                now = self._wanted.get(arm)
                if now is not None and now.release_id == pointer.release_id:  # it was still wanted when it was open
                    self._become({**self._open, arm: _Open(ranker, now.share)})

    def describe(self) -> list[dict[str, Any]]:
        """What is wanted and how it stands, for operators."""
        opened = {arm: one.ranker.release_id for arm, one in self._open.items()}
        return [
            {
                "arm": arm,
                "release": one.release_id,
                "share": one.share if arm == CANARY else None,
                "open": opened.get(arm) == one.release_id,
                "failed": self._attempts[arm].failure_of(one.release_id),
            }
            for arm, one in self._wanted.items()
        ]

    def _canary_of(self, user_id: str | None) -> Recommender | None:
        found = self._open.get(CANARY)
        if found is None or user_id is None or not takes_part(user_id, found.ranker.release_id, found.share):
            return None
        return found.ranker

    def _become(self, now: dict[str, _Open]) -> None:
        """Called with the turn."""
        before, self._open = self._open, now
        for arm, one in before.items():
            if arm not in now or now[arm].ranker is not one.ranker:
                self._note(arm, one, "ended")
        for arm, one in now.items():
            if before.get(arm) != one:
                self._note(arm, one, "opened" if arm not in before or before[arm].ranker is not one.ranker else "changed")

    def _note(self, arm: str, one: _Open, outcome: str) -> None:
        release = one.ranker.release_id
        self._measures.note_arm(arm, release, outcome)
        logger.info("%s %s: %s, share %g", arm, release, outcome, one.share, extra={"release": release})
