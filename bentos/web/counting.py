"""Outermost of all: how many requests are inside, and how many were refused, the door's refusals too."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.measures import Measures


class Counting:
    """Counts requests that come, go, and are refused; what it counts with is asked for each time, because it comes after the application.

    Args:
        app: what lies behind.
        measures: what to count with; None while the service starts.
    """

    def __init__(self, app: ASGIApp, measures: Callable[[], Measures | None]) -> None:
        """Keep them."""
        self._app, self._measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        measures = self._measures()
        if scope["type"] != "http" or measures is None:
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                measures.count_refusal(message["status"])
            await send(message)

        measures.note_in_flight(1)
        try:
            await self._app(scope, receive, sending)
        finally:
            measures.note_in_flight(-1)
