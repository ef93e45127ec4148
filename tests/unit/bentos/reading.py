"""Bodies as the application reads them, without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from bentos.routes.events import EVENTS_REQUEST, EventsRequest, read_events
from bentos.routes.slates import RECOMMEND, slate_request
from bentos.slates.asking import SlateRequest
from bentos.web.endpoints import Asked, read_body


def read_slate_request(body: dict[str, Any], *, now_us: int, pseudonymise: Callable[[str], str], replay_clock: bool) -> SlateRequest:
    found, at_us = read_body(RECOMMEND, body, now_us=now_us, replay_clock=replay_clock)
    parts: Any = SimpleNamespace(pseudonymise=pseudonymise)
    return slate_request(Asked(parts, found, {}, at_us))


def read_events_request(body: dict[str, Any], *, now_us: int, pseudonymise: Callable[[str], str], replay_clock: bool = False) -> EventsRequest:
    found, received_us = read_body(EVENTS_REQUEST, body, now_us=now_us, replay_clock=replay_clock)
    return read_events(found["events"], received_us, pseudonymise)
