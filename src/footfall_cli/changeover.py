"""Steady traffic in the background while a release changes, until the new one has answered for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from footfall.errors import ServiceError
from footfall_cli.traffic import Traffic, steady

RATE = 25.0
"""Requests a second through a changeover."""

AFTER_S = 5.0
"""How long the load goes on once the new release has answered."""


class SteadyLoad:
    """An open loop of slate requests in a thread of its own.

    Args:
        url: the service.
        users: raw ids of known users.
        at: the moment that requests state.
        rate: requests a second.
    """

    def __init__(self, url: str, users: Sequence[str], *, at: datetime, rate: float = RATE) -> None:
        """Prepare; send nothing."""
        self.traffic = Traffic()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(url, users, at, rate), name="steady load", daemon=True)

    @property
    def started(self) -> bool:
        """Whether it has begun."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin, once."""
        if not self.started:
            self._thread.start()

    def wait_for(self, release_id: str, *, timeout_s: float = 60.0) -> None:
        """Wait until an answer names `release_id`, then for a few seconds more.

        Raises:
            ServiceError: no answer names it in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.traffic.releases[release_id]:
            if time.monotonic() > deadline:
                found = ", ".join(self.traffic.releases)
                raise ServiceError(
                    "the service did not change over",
                    expected=f"slates of {release_id} within {timeout_s:.0f} s",
                    found=found,
                    next_step="read the service's log",
                )
            time.sleep(0.1)
        time.sleep(AFTER_S)

    def stop(self) -> Traffic:
        """Send no more, wait for the last answers, and return the count."""
        self._stop.set()
        if self.started:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self.traffic

    def __enter__(self) -> Self:
        """Nothing begins yet: `start` says when."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop sending, whatever happened."""
        self._stop.set()

    def _run(self, url: str, users: Sequence[str], at: datetime, rate: float) -> None:
        def watch(traffic: Traffic) -> bool:
            self.traffic = traffic
            return self._stop.is_set()

        try:
            self.traffic = asyncio.run(steady(url, users, rate=rate, until=watch, at=at))
        except Exception as error:  # noqa: BLE001 - kept for the thread that asks: `stop` raises it
            self._error = error
