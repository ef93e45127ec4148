"""POST /v1/events: behaviour events, acknowledged once they are durable. The good events of a request are kept, the others are named."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bentos.web.endpoints import REJECTED, WRITE, Asked, Endpoint, rejection
from bentos.web.fields import (
    INT64,
    Field,
    Record,
    Schema,
    UnfitError,
    each,
    identifier,
    integer,
    moment,
    number,
    object_schema,
    one_of,
    pattern,
    text,
)
from bentos.web.problems import Answer, answer
from footfall.contracts import EVENT_TYPES, EVENTS, LIVE_ORIGIN, C
from footfall.identifiers import mask, mask_label

MAX_EVENTS = 1000
FUTURE_TOLERANCE_US = 48 * 3_600_000_000
"""How far ahead of ours the clock of a client may run that is heard at all; what the gate takes for true is narrower (`ingest.ahead_minutes`)."""

_FEW = 50
"""So many events are checked while others wait; a full request takes some 20 ms."""

NEED_ITEM = ("view", "cart", "purchase", "review", "return")

EVENT_FIELDS: dict[str, Field] = {
    C.USER_ID: identifier(128),
    C.EVENT_TYPE: one_of(EVENT_TYPES),
    C.OCCURRED_AT: moment(),
    C.EVENT_ID: identifier(128).said("Without it, one is derived from the event: the same event twice is stored once"),
    C.ITEM_ID: identifier(128).said("Needed for view, cart, purchase, review and return"),
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
    C.REQUEST_ID: identifier(64).said("Of the slate that led to it"),
    C.POSITION: integer(1, 10_000).said("In that slate"),
}
"""What an event may say: EVENTS without `received_at` and `origin`, which are the service's to say."""

EVENT = Record("Event", EVENT_FIELDS, (C.USER_ID, C.EVENT_TYPE, C.OCCURRED_AT))
EVENTS_REQUEST = Record("EventsRequest", {"events": each(EVENT.field(), MAX_EVENTS, shortest=1)}, ("events",), dated=True)

_MASKED: dict[str, Callable[[str], str]] = {C.QUERY: mask, C.TEXT: mask, C.PLACE: mask_label, C.DEVICE: mask_label}
"""Where people write, and how direct identifiers are taken out of it before anything is kept."""

_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_EVENTS}
EVENTS_ANSWER: Schema = {
    "title": "EventsAnswer",
    **object_schema({"accepted": _COUNT, "duplicates": _COUNT, "rejected": {"type": "array", "maxItems": MAX_EVENTS, "items": REJECTED}}),
}


@dataclass(frozen=True)
class EventsRequest:
    """What came.

    Attributes:
        rows: valid events, values in the order of the EVENTS contract, moments in microseconds.
        rejected: {index, field, expected, found} of the others.
    """

    rows: list[tuple[Any, ...]]
    rejected: list[dict[str, Any]]


def masked(found: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event without direct identifiers: so texts are stored, and so they are looked up."""
    if found.keys().isdisjoint(_MASKED):
        return found
    return found | {name: change(found[name]) for name, change in _MASKED.items() if name in found}


def read_events(events: list[Any], received_us: int, pseudonymise: Callable[[str], str]) -> EventsRequest:
    """Each event by itself."""
    rows, rejected = [], []
    for index, event in enumerate(events):
        try:
            rows.append(_row(event, received_us, pseudonymise))
        except UnfitError as unfit:
            rejected.append(rejection(index, unfit, "event"))
    return EventsRequest(rows, rejected)


def _row(event: object, now_us: int, pseudonymise: Callable[[str], str]) -> tuple[Any, ...]:
    found = EVENT.read(event)
    if found[C.EVENT_TYPE] in NEED_ITEM and C.ITEM_ID not in found:
        raise UnfitError(f"an item, as for every {found[C.EVENT_TYPE]}", "nothing", C.ITEM_ID)
    if found[C.OCCURRED_AT] > now_us + FUTURE_TOLERANCE_US:
        raise UnfitError("at most 48 hours ahead of the service's clock", "a later moment", C.OCCURRED_AT)
    found[C.USER_ID] = pseudonymise(found[C.USER_ID])
    found = masked(found)
    if C.EVENT_ID not in found:
        # the same event sent twice gets the same id, and is stored once
        canonical = json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        found[C.EVENT_ID] = "h" + hashlib.sha256(canonical.encode()).hexdigest()[:40]
    found[C.RECEIVED_AT], found[C.ORIGIN] = now_us, LIVE_ORIGIN
    return tuple(found.get(name) for name in EVENTS.schema.names)


async def _events(asked: Asked) -> Answer:
    events, parts = asked.body["events"], asked.parts
    check = partial(read_events, events, asked.at_us, parts.pseudonymise)
    found = await asked.in_thread(check) if len(events) > _FEW else check()
    if not found.rows:
        parts.measures.count_events(0, 0, len(found.rejected))
        return answer({"accepted": 0, "duplicates": 0, "rejected": found.rejected}, 400)
    appended = await asked.in_time(asyncio.wrap_future(parts.answering.append(found.rows)))
    parts.measures.count_events(appended.accepted, len(appended.duplicates), len(found.rejected))
    return answer({"accepted": appended.accepted, "duplicates": len(appended.duplicates), "rejected": found.rejected})


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/events",
        WRITE,
        "Store events; acknowledged once they are durable",
        _events,
        {200: ("Stored; events that were rejected are named", EVENTS_ANSWER), 400: ("No event is valid, or the body is not", EVENTS_ANSWER)},
        body=EVENTS_REQUEST,
    ),
)
