"""POST /v1/recommend: a slate for a user, or for nobody in particular."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from bentos.answering import DEGRADED, SlateRequest
from bentos.routes.events import EVENT_FIELDS, masked
from bentos.web.endpoints import READ, Asked, Endpoint
from bentos.web.fields import Record, Schema, identifier, integer, list_of, object_schema
from bentos.web.problems import answer
from footfall.contracts import C

MAX_INLINE_EVENTS = 200
MAX_EXCLUDED = 1000
MAX_K = 100

_ITEM = identifier(128)

INLINE_EVENT = Record(
    "InlineEvent", {name: EVENT_FIELDS[name] for name in (C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.QUERY, C.DURATION_S)}, (C.EVENT_TYPE,)
)

RECOMMEND = Record(
    "RecommendRequest",
    {
        C.USER_ID: identifier(128),
        "events": list_of(INLINE_EVENT.field().then(masked), MAX_INLINE_EVENTS).said("Read together with the stored history"),
        "k": integer(1, MAX_K).said("Positions", default=10),
        C.PLACE: identifier(128).said("Taken, and not used yet"),
        "context_item_id": _ITEM.said("Taken, and not used yet"),
        "exclude": list_of(_ITEM, MAX_EXCLUDED).said("Items that must not be shown"),
    },
    dated=True,
)

LINE: Schema = object_schema(
    {
        C.POSITION: {"type": "integer", "minimum": 1, "maximum": MAX_K},
        C.ITEM_ID: {"type": "string"},
        C.SCORE: {"type": "number"},
        C.REASON: {"type": "string"},
    }
)
SLATE: Schema = {
    "title": "RecommendAnswer",
    **object_schema(
        {
            C.REQUEST_ID: {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            C.RELEASE: {"type": "string"},
            "degraded": {"enum": [None, *DEGRADED]},
            "items": {"type": "array", "maxItems": MAX_K, "items": LINE},
        }
    ),
}


def slate_request(body: dict[str, Any], at_us: int, pseudonymise: Callable[[str], str]) -> SlateRequest:
    """From the fields of RECOMMEND."""
    user_id = body.get(C.USER_ID)
    return SlateRequest(
        user_id=None if user_id is None else pseudonymise(user_id),
        at_us=at_us,
        k=body.get("k", 10),
        events=body.get("events", []),
        exclude=body.get("exclude", []),
    )


async def _recommend(asked: Asked) -> Response:
    wanted = slate_request(asked.body, asked.at_us, asked.parts.pseudonymise)
    return answer(await asked.in_thread(asked.parts.answering.recommend, wanted))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/recommend",
        READ,
        "A slate for a user, or for nobody in particular",
        _recommend,
        {200: ("A slate; `degraded` says when it is not what was asked for", SLATE)},
        body=RECOMMEND,
    ),
)
