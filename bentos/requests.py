"""The two request bodies, from JSON to what the service works with. `openapi.py` says the same to clients; a test holds them together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bentos.bodies import describe
from bentos.fields import INT64, Check, UnfitError, identifier, integer, list_of, moment, number, one_of, pattern, read_fields, text
from bentos.problems import Problem
from footfall.contracts import EVENT_TYPES, EVENTS, LIVE_ORIGIN, C
from footfall.identifiers import mask, mask_label

MAX_EVENTS = 1000
MAX_INLINE_EVENTS = 200
MAX_EXCLUDED = 1000
MAX_K = 100
FUTURE_TOLERANCE_US = 48 * 3_600_000_000
"""How far ahead of ours the clock of a client may run that is heard at all; what the gate takes for true is narrower (`ingest.ahead_minutes`)."""

NEED_ITEM = ("view", "cart", "purchase", "review", "return")

_USER, _ITEM = identifier(128), identifier(128)

EVENT_FIELDS: dict[str, Check] = {
    C.USER_ID: _USER,
    C.EVENT_TYPE: one_of(EVENT_TYPES),
    C.OCCURRED_AT: moment,
    C.EVENT_ID: identifier(128),
    C.ITEM_ID: _ITEM,
    C.SESSION_ID: identifier(128),
    C.QUANTITY: integer(-INT64, INT64),
    C.PRICE_MINOR: integer(-INT64, INT64),
    C.CURRENCY: pattern(r"[A-Z]{3}", "three capital letters, like USD"),
    C.QUERY: text(512),
    C.RATING: number(-1e6, 1e6),
    C.TEXT: text(10_000),
    C.DURATION_S: number(0, 1e9),
    C.PLACE: identifier(128),
    C.DEVICE: identifier(64),
    C.CAMPAIGN_ID: identifier(128),
    C.REQUEST_ID: identifier(64),
    C.POSITION: integer(1, 10_000),
}
"""What an event may say: EVENTS without `received_at` and `origin`, which are the service's to say."""

_MASKED: dict[str, Callable[[str], str]] = {C.QUERY: mask, C.TEXT: mask, C.PLACE: mask_label, C.DEVICE: mask_label}
"""Where people write, and how direct identifiers are taken out of it before anything is kept."""

_INLINE_FIELDS = {name: EVENT_FIELDS[name] for name in (C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.QUERY, C.DURATION_S)}


def _masked(found: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event without direct identifiers: so texts are stored, and so they are looked up."""
    return found | {name: change(found[name]) for name, change in _MASKED.items() if name in found}


def _inline_event(value: object) -> dict[str, Any]:
    return _masked(read_fields(value, _INLINE_FIELDS, (C.EVENT_TYPE,)))


_RECOMMEND_FIELDS: dict[str, Check] = {
    C.USER_ID: _USER,
    "events": list_of(_inline_event, MAX_INLINE_EVENTS),
    "k": integer(1, MAX_K),
    C.PLACE: identifier(128),
    "context_item_id": _ITEM,
    "exclude": list_of(_ITEM, MAX_EXCLUDED),
    "at": moment,
}


@dataclass(frozen=True)
class SlateRequest:
    """POST /v1/recommend; `user_id` is a pseudonym already, moments are microseconds."""

    user_id: str | None
    at_us: int
    k: int = 10
    events: list[dict[str, Any]] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)


def read_slate_request(body: dict[str, Any], *, now_us: int, pseudonymise: Callable[[str], str], replay_clock: bool) -> SlateRequest:
    """Read the body of POST /v1/recommend.

    Raises:
        Problem: 400, naming the first field that does not fit.
    """
    try:
        found = read_fields(body, _RECOMMEND_FIELDS)
        at_us = _stated_moment(found, now_us, replay_clock=replay_clock)
    except UnfitError as unfit:
        raise _invalid(unfit.field or "body", unfit.expected, unfit.found) from unfit
    user_id = found.get(C.USER_ID)
    return SlateRequest(
        user_id=None if user_id is None else pseudonymise(user_id),
        at_us=at_us,
        k=found.get("k", 10),
        events=found.get("events", []),
        exclude=found.get("exclude", []),
    )


@dataclass(frozen=True)
class EventsRequest:
    """POST /v1/events.

    Attributes:
        rows: valid events, values in the order of the EVENTS contract, moments in microseconds.
        rejected: {index, field, expected, found} of the others.
    """

    rows: list[tuple[Any, ...]]
    rejected: list[dict[str, Any]]


def read_events_request(body: dict[str, Any], *, now_us: int, pseudonymise: Callable[[str], str], replay_clock: bool = False) -> EventsRequest:
    """Read the body of POST /v1/events: the good events of a request are kept, the others are named.

    Raises:
        Problem: 400 when `events` is not there, is no list, is empty or too long, or another field is there.
    """
    events = body.get("events")
    unknown = sorted(set(body) - {"events", "at"})
    if unknown:
        raise _invalid("body", f"events, a list of 1 to {MAX_EVENTS}, and no other field", f"{len(unknown)} unknown fields")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        raise _invalid("events", f"events, a list of 1 to {MAX_EVENTS}", "nothing" if "events" not in body else describe(events))
    try:
        received_us = _stated_moment(read_fields({"at": body.get("at")}, {"at": moment}), now_us, replay_clock=replay_clock)
    except UnfitError as unfit:
        raise _invalid("at", unfit.expected, unfit.found) from unfit
    rows, rejected = [], []
    for index, event in enumerate(events):
        try:
            rows.append(_event_row(event, received_us, pseudonymise))
        except UnfitError as unfit:
            rejected.append({"index": index, "field": unfit.field or "event", "expected": unfit.expected, "found": unfit.found})
    return EventsRequest(rows, rejected)


def _stated_moment(found: dict[str, Any], now_us: int, *, replay_clock: bool) -> int:
    """The moment that a replay states, else now: what a slate is for, and when events are received."""
    if "at" in found and not replay_clock:
        raise UnfitError("no field `at`: this service answers for now only", "a moment", "at")
    at_us: int = found.get("at", now_us)
    return at_us


def _invalid(where: str, expected: str, found: str) -> Problem:
    return Problem(400, "invalid", "the request does not fit", where=where, expected=expected, found=found, next_step="see /v1/openapi.json")


def _event_row(event: object, now_us: int, pseudonymise: Callable[[str], str]) -> tuple[Any, ...]:
    found = read_fields(event, EVENT_FIELDS, (C.USER_ID, C.EVENT_TYPE, C.OCCURRED_AT))
    if found[C.EVENT_TYPE] in NEED_ITEM and C.ITEM_ID not in found:
        raise UnfitError(f"an item, as for every {found[C.EVENT_TYPE]}", "nothing", C.ITEM_ID)
    if found[C.OCCURRED_AT] > now_us + FUTURE_TOLERANCE_US:
        raise UnfitError("at most 48 hours ahead of the service's clock", "a later moment", C.OCCURRED_AT)
    found[C.USER_ID] = pseudonymise(found[C.USER_ID])
    found = _masked(found)
    if C.EVENT_ID not in found:
        # the same event sent twice gets the same id, and is stored once
        canonical = json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        found[C.EVENT_ID] = "h" + hashlib.sha256(canonical.encode()).hexdigest()[:40]
    found[C.RECEIVED_AT], found[C.ORIGIN] = now_us, LIVE_ORIGIN
    return tuple(found.get(name) for name in EVENTS.schema.names)
