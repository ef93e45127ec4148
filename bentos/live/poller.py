"""What a worker does once a second in the background, as long as it serves: look whether something has changed elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("footfall.service")

POLL_S = 1.0


class Poller:
    """One thread that looks each second; the first time, a second after it has started."""

    def __init__(self, name: str, look: Callable[[], None], *, purpose: str) -> None:
        """Not started yet.

        Args:
            name: of the thread.
            look: called each second; what it raises is logged.
            purpose: what it looks for, for the log: "could not ...".
        """
        self._look, self._purpose = look, purpose
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"footfall-{name}", daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether it has been closed; a long look asks."""
        return self._stop.is_set()

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def pause(self, seconds: float) -> None:
        """Wait within a look, but not beyond the end."""
        self._stop.wait(seconds)

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self._look()
            except Exception:  # the thread must outlive whatever one look meets; it is logged, and the next second looks again
                logger.exception("could not %s", self._purpose)
