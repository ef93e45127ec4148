"""How many may be inside at once, by how long the next one would wait.

While anybody is inside, the seconds that pass over the requests that end in them are what one request takes of the service, whether they
are answered one after the other, side by side or in one pass. With n inside, whoever comes next waits about n + 1 times that (Little's law).
A fixed number of requests is too few for a quick release, or seconds of waiting for a slow one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

TARGET_S = 0.25
"""So long a slate may take under load; whoever would wait longer is asked to come again."""

FEW = 16
"""So many are let in whatever was measured, one for each thread that makes slates (`service.THREADS`). A stall while a new release is opened
must turn nobody away, and an estimate from one that was slow must not close the door, or nothing would ever correct it."""

_MEMORY_S = 0.5
"""Busy seconds after which what was measured counts for a third."""


class Crowd:
    """Who is inside, and what each takes. Belongs to one event loop.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody is inside, and nothing has been measured."""
        self._clock = clock
        self._inside = 0
        self._seen = 0.0
        self._busy_s = 0.0
        self._ended = 0.0

    @property
    def wait_s(self) -> float:
        """How long the next one would take; 0 while nothing is known."""
        return (self._inside + 1) * self._busy_s / max(self._ended, 1.0)

    @property
    def full(self) -> bool:
        """Whether the next one would wait too long."""
        return self._inside >= FEW and self.wait_s > TARGET_S

    def enter(self) -> None:
        """One more is inside."""
        self._pass()
        self._inside += 1

    def leave(self) -> None:
        """One has been answered."""
        self._pass()
        self._inside -= 1
        self._ended += 1.0

    def _pass(self) -> None:
        now = self._clock()
        if self._inside:
            kept = math.exp((self._seen - now) / _MEMORY_S)
            self._busy_s, self._ended = self._busy_s * kept + _MEMORY_S * (1.0 - kept), self._ended * kept
        self._seen = now
