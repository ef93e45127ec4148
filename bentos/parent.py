"""A worker whose supervisor was killed must not live on: it would hold the port, and serve what nobody watches."""

from __future__ import annotations

import os
import signal
import threading
import time

_LOOK_S = 0.5


def end_with_parent() -> None:
    """From now on: when the process that started this one is gone, stop as on SIGTERM, requests in flight answered first."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), name="footfall-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
