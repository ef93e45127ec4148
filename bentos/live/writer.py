"""One thread that writes: events are acknowledged once their transaction is on disk, exposures follow within a moment.

SQLite has one writer at a time, and every commit waits for the disk. So whatever arrived during one commit goes into the next
together, with the exposures that wait: under load many requests share one commit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from bentos.live.live_store import LiveStore
from bentos.live.tally import Tally, left_behind
from bentos.measures import Measures
from footfall.errors import StoreError
from footfall.store.events import Appended
from footfall.store.together import write_together

logger = logging.getLogger("footfall.service")

Row = tuple[Any, ...]

FLUSH_S = 0.05
"""How long an exposure waits for company."""

EVENT_CAPACITY = 20_000
"""Event rows that may wait; more are refused, and the client is asked to come again."""

EXPOSURE_CAPACITY = 200_000
"""Exposure rows that may wait while the store is away; then the oldest are lost, and counted."""

PATIENCE_S = 3.0
"""How long the end waits for a store that is away."""

_ROWS_A_COMMIT = 20_000


class QueueFullError(Exception):
    """More waits to be written than may wait."""


class Writer:
    """Appends events and exposures in the background."""

    def __init__(self, store: LiveStore, measures: Measures, owed: Path | None = None) -> None:
        """Start the thread.

        Args:
            store: where it writes.
            measures: counts what is lost.
            owed: the folder of the tallies; None keeps none, and what a kill loses is not known.
        """
        self._store, self._measures = store, measures
        self._tally = None if owed is None else self._begin_tally(owed)
        self._events: deque[tuple[list[Row], Future[Appended]]] = deque()
        self._slates: deque[list[Row]] = deque()
        self._waiting_events = self._waiting_exposures = 0
        self._oldest_exposure: float | None = None
        self._closing = False
        self._give_up_at = float("inf")
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="footfall-writer", daemon=True)
        self._thread.start()

    def append_events(self, rows: list[Row]) -> Future[Appended]:
        """Queue events; the future is done when they are on disk, or failed with `StoreError` when they are not.

        Raises:
            QueueFullError: too many wait already.
        """
        future: Future[Appended] = Future()
        with self._wake:
            if self._closing or self._waiting_events + len(rows) > EVENT_CAPACITY:
                raise QueueFullError
            self._events.append((rows, future))
            self._waiting_events += len(rows)
            self._wake.notify()
        return future

    def log_exposures(self, rows: list[Row]) -> None:
        """Queue the rows of one slate, which are written in one transaction or not at all."""
        with self._wake:
            self._slates.append(rows)
            self._waiting_exposures += len(rows)
            self._owe(len(rows))
            lost = 0
            while self._waiting_exposures > EXPOSURE_CAPACITY:
                lost += len(self._next_slate())
            if self._oldest_exposure is None:
                self._oldest_exposure = time.monotonic()
                self._wake.notify()
        if lost:
            self._lose(lost)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, and stop."""
        with self._wake:
            self._closing = True
            self._give_up_at = min(self._give_up_at, time.monotonic() + PATIENCE_S)
            self._wake.notify()
        self._thread.join(timeout_s)
        if self._slates:
            self._measures.count_lost_exposures(self._waiting_exposures)
            logger.error("%d exposures could not be written before the end", self._waiting_exposures)
        if self._tally is not None and not self._thread.is_alive():
            self._tally.close()
            self._tally = None

    def _begin_tally(self, folder: Path) -> Tally | None:
        try:
            missing, tally = left_behind(folder), Tally(folder)
        except OSError as error:
            logger.error("exposures that a kill loses will not be counted: nothing can be written in %s (%s)", folder, error.strerror)
            return None
        if missing:
            logger.error("%d exposures of slates that were answered just before a kill are missing", missing)
            self._measures.count_lost_exposures(missing)
        return tally

    def _owe(self, exposures: int) -> None:
        if self._tally is not None:
            self._tally.add(exposures)

    def _lose(self, exposures: int) -> None:
        self._owe(-exposures)
        self._measures.count_lost_exposures(exposures)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wait()
                if self._closing and not self._events and not self._slates:
                    return
                events, slates = self._take()
            started = time.perf_counter()
            written = self._write(events, slates)
            self._measures.note_commit("done" if written else "failed", time.perf_counter() - started)
            self._measures.note_waiting(self._waiting_events, self._waiting_exposures)
            if not written and self._give_up_or_pause():
                return

    def _wait(self) -> None:
        while not self._events and not self._closing:
            if self._oldest_exposure is None:
                self._wake.wait()
                continue
            left = self._oldest_exposure + FLUSH_S - time.monotonic()
            if left <= 0:
                return
            self._wake.wait(left)

    def _take(self) -> tuple[list[tuple[list[Row], Future[Appended]]], list[list[Row]]]:
        events, rows = [], 0
        while self._events and rows < _ROWS_A_COMMIT:
            request = self._events.popleft()
            self._waiting_events -= len(request[0])
            # whoever gave up waiting was told to send it again; from here on nobody can, and the outcome can be said
            if request[1].set_running_or_notify_cancel():
                events.append(request)
                rows += len(request[0])
        slates: list[list[Row]] = []
        rows = 0
        while self._slates and rows < _ROWS_A_COMMIT:
            slates.append(self._next_slate())
            rows += len(slates[-1])
        self._oldest_exposure = time.monotonic() if self._slates else None
        return events, slates

    def _next_slate(self) -> list[Row]:
        """The oldest that waits; called with the lock."""
        rows = self._slates.popleft()
        self._waiting_exposures -= len(rows)
        return rows

    def _write(self, events: list[tuple[list[Row], Future[Appended]]], slates: list[list[Row]]) -> bool:
        exposures = [row for rows in slates for row in rows]
        try:
            appended = self._store.call(write_together, [rows for rows, _ in events], exposures)
        except StoreError as error:
            for _, future in events:
                future.set_exception(error)
            with self._wake:
                self._slates.extendleft(reversed(slates))
                self._waiting_exposures += len(exposures)
                self._oldest_exposure = time.monotonic() if self._slates else None
            return False
        except Exception as error:  # noqa: BLE001 - whatever a driver comes up with: without this thread nothing would be stored again
            # only its class: the words of a driver may quote a row
            logger.error("a write failed in a way that nobody foresaw (%s); its events are refused, its exposures lost", type(error).__name__)
            for _, future in events:
                future.set_exception(StoreError("events could not be written", found=type(error).__name__, next_step="send them again"))
            self._lose(len(exposures))
            return False
        self._owe(-len(exposures))
        for (_, future), result in zip(events, appended, strict=True):
            future.set_result(result)
        return True

    def _give_up_or_pause(self) -> bool:
        """After a failure: whether to stop. Events that come meanwhile fail at once, so that their clients know."""
        with self._wake:
            if time.monotonic() > self._give_up_at:
                return True
            self._wake.wait_for(lambda: bool(self._events), timeout=0.2)
        return False
