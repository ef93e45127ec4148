"""Slates are ranked one at a time, in the order in which they were asked for.

Threads that rank at once hand the interpreter over hundreds of times a slate, and each slate costs three times the processor time. And a pass over
several histories keeps whoever comes meanwhile waiting for all of it: ten times over its capacity, a release of 20 ms a history answered 99 of 100
within 395 ms by ones, 551 by fours and 592 by as many as wait (runs of 12 to 20 s).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bentos.slates.waiting import heed, patience_now
from footfall.recommender import FUSED, History, Recommender, Slate, Wishes

T = TypeVar("T")

QUICK_S = 0.005
"""A slate that takes less may be made where the request was read: handing it to a thread and back costs a third of it, and others wait no longer."""
_LATEST = 0.1  # weight of the latest slate in what a slate takes


class Ranking:
    """Slates for many threads; each call blocks until its own slate is there."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._queue = Queue()
        self._slate_s = math.inf

    @property
    def quick(self) -> bool:
        """Whether a slate would be there at once: nobody has the turn, and the last ones were quick. Not before a first one."""
        return self._slate_s < QUICK_S and not self._queue.busy

    def rank(self, ranker: Recommender, history: History, at_us: int, wishes: Wishes) -> Slate:
        """The fused slate of one history; raises what `ranker` raises for it, and `TimeoutError` where nobody waits for it any more."""
        return self.take_turn(lambda: self._timed(ranker, history, at_us, wishes))

    def take_turn(self, work: Callable[[], T]) -> T:
        """What else a release has to think about, in the same queue; raises what it raises, and `TimeoutError` as `rank`."""
        with self._queue.turn():
            heed(patience_now())
            return work()

    def _timed(self, ranker: Recommender, history: History, at_us: int, wishes: Wishes) -> Slate:
        began = time.perf_counter()
        slate = ranker.recommend(ranker.encode([history]), at_us, wishes, FUSED)[0]
        taken = time.perf_counter() - began
        self._slate_s = taken if math.isinf(self._slate_s) else self._slate_s + _LATEST * (taken - self._slate_s)
        return slate


class Queue:
    """A lock that is had in the order in which it was asked for, which `threading.Lock` does not promise."""

    def __init__(self) -> None:
        """Nobody has it."""
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self.busy = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until all who came before have had their turn."""
        mine = threading.Lock()
        with self._guard:
            if self.busy:
                mine.acquire()
                self._waiting.append(mine)
            self.busy = True
        with mine:
            try:
                yield
            finally:
                with self._guard:
                    if self._waiting:
                        self._waiting.popleft().release()
                    else:
                        self.busy = False
