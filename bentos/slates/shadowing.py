"""The shadow's slates: made after the champion's answer has been given, for the users whom it answered, seen by nobody and written nowhere.

One thread makes them, and rests three times as long as it worked, so that shoppers keep the processor: of a busy service it follows a sample.
Only numbers are kept: how many, how long, and how much the slates have in common with those that were shown.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bentos.measures import Measures
from bentos.slates.asking import SlateRequest
from bentos.slates.waiting import Patience, patience_now
from footfall.core.parts import SCORES_NOT_FINITE
from footfall.recommender import Recommender, Slate

logger = logging.getLogger("footfall.service")

CAPACITY = 32
"""Requests that wait for the shadow; those beyond are dropped."""
STALE_S = 2.0
"""A request that waited longer is dropped: nothing of an erased user stays here for longer than elsewhere."""
REST = 3.0
"""Times the work."""
_LOOK_S = 0.002

Make = Callable[[Recommender, SlateRequest], Slate | None]
DONE, FAILED, DROPPED = "done", "failed", "dropped"


@dataclass(frozen=True, eq=False)
class _Job:
    request: SlateRequest
    shown: frozenset[str]
    patience: Patience | None = field(default_factory=patience_now)
    offered: float = field(default_factory=time.monotonic)

    @property
    def stale(self) -> bool:
        return time.monotonic() > self.offered + STALE_S


class Shadowing:
    """Makes the shadow's slates.

    Args:
        shadow: the release that is open as shadow now, if any.
        make: its slate for a request; None: there is nothing to compare.
        measures: counts.
    """

    def __init__(
        self, shadow: Callable[[], Recommender | None], make: Callable[[Recommender, SlateRequest], Slate | None], measures: Measures
    ) -> None:
        """Nothing waits yet, and nothing is made before `start`."""
        self._shadow, self._make, self._measures = shadow, make, measures
        self._waiting: queue.Queue[_Job | None] = queue.Queue(CAPACITY)
        self._told: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="footfall-shadow", daemon=True)

    def start(self) -> None:
        """Make slates from now on."""
        self._thread.start()

    def close(self) -> None:
        """Make no more."""
        self._stop.set()
        with contextlib.suppress(queue.Full):  # then it is at work, and sees for itself
            self._waiting.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(5.0)

    def offer(self, request: SlateRequest, slate: Slate) -> None:
        """What was asked, and what is shown; returns at once."""
        shadow = self._shadow()
        if shadow is None or not slate.items:
            return
        try:
            self._waiting.put_nowait(_Job(request, frozenset(line.item_id for line in slate.items)))
        except queue.Full:
            self._measures.count_shadow(shadow.release_id, DROPPED)

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None and not self._stop.is_set():
            self._wait_for_the_answer(job)
            started = time.perf_counter()
            self._follow(job)
            self._stop.wait(REST * (time.perf_counter() - started))

    def _wait_for_the_answer(self, job: _Job) -> None:
        while job.patience is not None and not job.patience.over and not job.stale and not self._stop.wait(_LOOK_S):
            pass

    def _follow(self, job: _Job) -> None:
        shadow = self._shadow()
        if shadow is None:
            return
        if job.stale:
            self._measures.count_shadow(shadow.release_id, DROPPED)
            return
        started = time.perf_counter()
        try:
            slate = self._make(shadow, job.request)
            if slate is not None and slate.degraded == SCORES_NOT_FINITE:
                raise ArithmeticError("scores are not finite")
        except Exception:  # whatever a shadow does, nobody waits for it; it is counted, and told once
            self._measures.count_shadow(shadow.release_id, FAILED)
            if self._told != shadow.release_id:
                logger.exception("shadow %s failed on a request; further failures are counted only", shadow.release_id)
            self._told = shadow.release_id
            return
        if slate is None:
            self._measures.count_shadow(shadow.release_id, DROPPED)
            return
        overlap = len(job.shown & {line.item_id for line in slate.items}) / len(job.shown)
        self._measures.count_shadow(shadow.release_id, DONE)
        self._measures.note_shadow(shadow.release_id, time.perf_counter() - started, overlap)
