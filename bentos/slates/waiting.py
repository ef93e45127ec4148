"""How long whoever asked still waits.

A thread cannot be stopped from outside: so work looks here before it begins, and once more before it leaves traces.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class Patience:
    """Of one request.

    Attributes:
        until: on the monotonic clock, in seconds; an answer that comes later is not waited for.
        ended: whether the answer has been given, or whoever asked has gone.
    """

    until: float
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether nobody waits any more."""
        return self.ended or time.monotonic() >= self.until

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns; whatever it calls in this thread finds this patience by `patience_now`.

        Raises:
            TimeoutError: nobody waits any more.
        """
        before = _now.set(self)
        try:
            heed(self)
            return function(*arguments)
        finally:
            _now.reset(before)


_now: ContextVar[Patience | None] = ContextVar("patience", default=None)


def patience_now() -> Patience | None:
    """Of the request that this thread works for; None: somebody waits for as long as it takes."""
    return _now.get()


def heed(patience: Patience | None) -> None:
    """Go on only where somebody waits.

    Raises:
        TimeoutError: nobody does.
    """
    if patience is not None and patience.over:
        raise TimeoutError("nobody waits for this answer any more")
