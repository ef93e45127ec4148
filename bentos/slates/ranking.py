"""Requests that wait at the same time are ranked together, a few in one pass, the oldest first.

Threads that rank at once hand the interpreter over hundreds of times a slate, and each slate costs three times the processor time. So whoever gets
the turn ranks for some who wait, and for nobody whose time is over or who has gone.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from bentos.slates.waiting import Patience, heed, patience_now
from footfall.core.sequences import Int64
from footfall.recommender import FUSED, History, Recommender, Slate, Wishes

MOST = 2
"""Histories in one pass. Whoever comes while a pass goes on waits for the whole of it, and then for a pass of its own: ten times over its capacity,
a release of 20 ms a history answered 99 of 100 within 395 ms by ones, 397 by twos, 551 by fours and 592 by as many as wait (runs of 12 to 20 s)."""
QUICK_S = 0.005
"""A slate that takes less may be made where the request was read: handing it to a thread and back costs a third of it, and others wait no longer."""
_LATEST = 0.1  # weight of the latest pass in what a slate takes


@dataclass(eq=False)
class _Job:
    ranker: Recommender
    history: History
    at_us: int
    wishes: Wishes
    patience: Patience | None = field(default_factory=patience_now)
    slate: Slate | None = None
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Ranking:
    """Slates for many threads; each call blocks until its own slate is there."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._turn = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._slate_s = math.inf

    @property
    def quick(self) -> bool:
        """Whether a slate would be there at once: nobody has the turn, and the last ones were quick. Not before a first one."""
        return self._slate_s < QUICK_S and not self._turn.locked()

    def rank(self, ranker: Recommender, history: History, at_us: int, wishes: Wishes) -> Slate:
        """The fused slate of one history; raises what `ranker` raises for it, and `TimeoutError` where nobody waits for it any more."""
        job = _Job(ranker, history, at_us, wishes)
        self._waiting.append(job)
        while not job.done.is_set():
            with self._turn:
                if not job.done.is_set():
                    self._pass()
        if job.error is not None:
            raise job.error
        assert job.slate is not None  # noqa: S101 - a job is done with a slate or with an error
        return job.slate

    def _pass(self) -> None:
        """Slates of the oldest that wait; called with the turn."""
        jobs, began = _still_wanted(self._take()), time.perf_counter()
        _rank_together(jobs)
        if jobs:
            taken = (time.perf_counter() - began) / len(jobs)
            self._slate_s = taken if math.isinf(self._slate_s) else self._slate_s + _LATEST * (taken - self._slate_s)

    def _take(self) -> list[_Job]:
        """The oldest that wait for the ranker of the oldest; called with the turn."""
        jobs = [self._waiting.popleft()]
        while self._waiting and self._waiting[0].ranker is jobs[0].ranker and len(jobs) < MOST:
            jobs.append(self._waiting.popleft())
        return jobs


def _still_wanted(jobs: list[_Job]) -> list[_Job]:
    """Without those that nobody waits for; these end with a `TimeoutError`."""
    wanted = []
    for job in jobs:
        try:
            heed(job.patience)
        except TimeoutError as error:
            job.error = error
            job.done.set()
        else:
            wanted.append(job)
    return wanted


def _rank_together(jobs: list[_Job]) -> None:
    if not jobs:
        return
    try:
        for job, slate in zip(jobs, _slates(jobs), strict=True):
            job.slate = slate
    except Exception as error:  # noqa: BLE001 - kept for the thread whose request it is, which raises it
        if len(jobs) == 1:
            jobs[0].error = error
        else:
            for job in jobs:  # one bad history spoils no other's slate
                _rank_together([job])
    for job in jobs:
        job.done.set()


def _slates(jobs: list[_Job]) -> list[Slate]:
    ranker = jobs[0].ranker
    at: Int64 = np.array([job.at_us for job in jobs], dtype=np.int64)
    return ranker.recommend(ranker.encode([job.history for job in jobs]), at, [job.wishes for job in jobs], FUSED)
