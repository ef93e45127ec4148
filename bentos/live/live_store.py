"""The service's way to the live store: opened when it answers, left alone for a moment when it does not.

While the store is away no request waits for a connection that will not come: calls fail at once until the next second's look.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from footfall.errors import StoreError
from footfall.store import Engine, open_store

logger = logging.getLogger("footfall.service")

P = ParamSpec("P")
T = TypeVar("T")

PAUSE_S = 1.0
"""How long the store is left alone after a failure."""

VERIFY_S = 5.0
"""How long a start may hold an SQLite file against itself: enough for about a million events, or a part of more."""


class LiveStore:
    """A store that may come and go."""

    def __init__(self, url: str) -> None:
        """Remember the address; nothing is opened yet."""
        self._url = url
        self._engine: Engine | None = None
        self._away_until = 0.0
        self._away = False
        self._opening = threading.Lock()

    @property
    def away(self) -> bool:
        """Whether the last call failed."""
        return self._away

    def call(self, function: Callable[Concatenate[Engine, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(engine, ...)`.

        Raises:
            StoreError: the store is away.
        """
        if time.monotonic() < self._away_until:
            raise StoreError("live store is away", next_step="send it again")
        try:
            result = function(self._opened(), *args, **kwargs)
        except StoreError as error:
            if not self._away:
                logger.error("live store is away: %s (%s)", error.what, error.found)
            self._away, self._away_until = True, time.monotonic() + PAUSE_S
            raise
        if self._away:
            logger.warning("live store is back")
            self._away = False
        return result

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _opened(self) -> Engine:
        if self._engine is None:
            with self._opening:
                if self._engine is None:
                    self._engine = open_store(self._url, verify_s=VERIFY_S)
        return self._engine
