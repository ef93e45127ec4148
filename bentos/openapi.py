"""The OpenAPI document, kept by hand and held to the truth by tests that validate real answers and real refusals against it."""

from __future__ import annotations

from typing import Any

from bentos.answering import HISTORY_UNAVAILABLE, MODEL_FAILED, NO_CONSENT
from bentos.bodies import MAX_BODY_BYTES
from bentos.fields import INT64
from bentos.requests import MAX_EVENTS, MAX_EXCLUDED, MAX_INLINE_EVENTS, MAX_K
from footfall.contracts import EVENT_TYPES, C
from footfall.core.parts import NO_HISTORY, SCORES_NOT_FINITE

Schema = dict[str, Any]
_QUERY: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": 512}
_DURATION: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1e9}
DEGRADED = (NO_HISTORY, HISTORY_UNAVAILABLE, NO_CONSENT, MODEL_FAILED, SCORES_NOT_FINITE)


def document(*, replay_clock: bool = False) -> Schema:
    """The document; with a replay clock, requests may also say `at`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Footfall",
            "version": "1",
            "description": f"Recommendations and behaviour events. JSON only, at most {MAX_BODY_BYTES} bytes a body.",
        },
        "paths": {
            "/v1/recommend": {"post": _recommend()},
            "/v1/events": {"post": _events()},
            "/v1/release": {"get": _get("Which release serves", _ref("Release"))},
            "/v1/openapi.json": {"get": _get("This document", {"type": "object"})},
            "/livez": {"get": _probe("The process lives")},
            "/readyz": {"get": _probe("A release is open and warm")},
            "/metrics": {"get": {"summary": "Metrics for Prometheus", "responses": {"200": {"description": "Text", "content": {"text/plain": {}}}}}},
        },
        "components": {"schemas": _schemas(replay_clock=replay_clock), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }


def _schemas(*, replay_clock: bool) -> dict[str, Schema]:
    return {
        "RecommendRequest": _recommend_request(replay_clock=replay_clock),
        "RecommendAnswer": _recommend_answer(),
        "EventsRequest": _events_request(replay_clock=replay_clock),
        "Event": _event(),
        "EventsAnswer": _events_answer(),
        "Release": _object(
            {"release": _nullable("string"), "failed": _nullable("string"), "store": {"enum": ["ready", "away"]}, "code": {"type": "string"}},
            ("release", "failed", "store", "code"),
        ),
        "Problem": _problem(),
    }


def _recommend_request(*, replay_clock: bool) -> Schema:
    signals = {C.QUERY: _QUERY, C.DURATION_S: _DURATION}
    inline = _object({C.ITEM_ID: _id(), C.EVENT_TYPE: {"enum": list(EVENT_TYPES)}, C.OCCURRED_AT: _moment(), **signals}, (C.EVENT_TYPE,))
    fields = {
        C.USER_ID: _id(),
        "events": {"type": ["array", "null"], "maxItems": MAX_INLINE_EVENTS, "items": inline, "description": "Read together with the stored history"},
        "k": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_K, "default": 10},
        C.PLACE: _id(description="Taken, and not used yet"),
        "context_item_id": _id(description="Taken, and not used yet"),
        "exclude": {"type": ["array", "null"], "maxItems": MAX_EXCLUDED, "items": {"type": "string", "minLength": 1, "maxLength": 128}},
    }
    if replay_clock:
        fields["at"] = _moment(description="The moment asked at; only services that replay take it")
    return _object(fields, ())


def _events_request(*, replay_clock: bool) -> Schema:
    fields: dict[str, Schema] = {"events": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": _ref("Event")}}
    if replay_clock:
        fields["at"] = _moment(description="The moment of receipt; only services that replay take it")
    return _object(fields, ("events",))


def _recommend_answer() -> Schema:
    line = _object(
        {
            C.POSITION: {"type": "integer", "minimum": 1, "maximum": MAX_K},
            C.ITEM_ID: {"type": "string"},
            C.SCORE: {"type": "number"},
            C.REASON: {"type": "string"},
        },
        (C.POSITION, C.ITEM_ID, C.SCORE, C.REASON),
    )
    return _object(
        {
            C.REQUEST_ID: {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            C.RELEASE: {"type": "string"},
            "degraded": {"enum": [None, *DEGRADED]},
            "items": {"type": "array", "maxItems": MAX_K, "items": line},
        },
        (C.REQUEST_ID, C.RELEASE, "degraded", "items"),
    )


def _event() -> Schema:
    fields = {
        C.USER_ID: _id(null=False),
        C.EVENT_TYPE: {"enum": list(EVENT_TYPES)},
        C.OCCURRED_AT: _moment(null=False),
        C.EVENT_ID: _id(description="Without it, one is derived from the event: the same event twice is stored once"),
        C.ITEM_ID: _id(description="Needed for view, cart, purchase, review and return"),
        C.SESSION_ID: _id(),
        C.QUANTITY: _integer(-INT64, INT64),
        C.PRICE_MINOR: _integer(-INT64, INT64),
        C.CURRENCY: {"type": ["string", "null"], "pattern": "^[A-Z]{3}$"},
        C.QUERY: _QUERY,
        C.RATING: {"type": ["number", "null"], "minimum": -1e6, "maximum": 1e6},
        C.TEXT: {"type": ["string", "null"], "minLength": 1, "maxLength": 10_000},
        C.DURATION_S: _DURATION,
        C.PLACE: _id(),
        C.DEVICE: _id(longest=64),
        C.CAMPAIGN_ID: _id(),
        C.REQUEST_ID: _id(longest=64),
        C.POSITION: _integer(1, 10_000),
    }
    return _object(fields, (C.USER_ID, C.EVENT_TYPE, C.OCCURRED_AT))


def _events_answer() -> Schema:
    rejected = _object(
        {"index": {"type": "integer", "minimum": 0}, "field": {"type": "string"}, "expected": {"type": "string"}, "found": {"type": "string"}},
        ("index", "field", "expected", "found"),
    )
    number = {"type": "integer", "minimum": 0, "maximum": MAX_EVENTS}
    fields = {"accepted": number, "duplicates": number, "rejected": {"type": "array", "maxItems": MAX_EVENTS, "items": rejected}}
    return _object(fields, ("accepted", "duplicates", "rejected"))


def _problem() -> Schema:
    names = ("where", "expected", "found", "next")
    return _object(
        {"error": {"type": "string"}, "what": {"type": "string"}} | {name: _nullable("string") for name in names}, ("error", "what", *names)
    )


def _recommend() -> Schema:
    return {
        "summary": "A slate for a user, or for nobody in particular",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("RecommendRequest")}}},
        "responses": {"200": _json("A slate; `degraded` says when it is not what was asked for", _ref("RecommendAnswer")), **_refusals()},
    }


def _events() -> Schema:
    partly = {"anyOf": [_ref("EventsAnswer"), _ref("Problem")]}
    return {
        "summary": "Store events; acknowledged once they are durable",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("EventsRequest")}}},
        "responses": {
            **_refusals(),
            "200": _json("Stored; events that were rejected are named", _ref("EventsAnswer")),
            "400": _json("No event is valid, or the body is not", partly),
        },
    }


def _refusals() -> Schema:
    what = {
        "400": "The body does not fit",
        "401": "A key is needed",
        "403": "Loopback only",
        "408": "The body was too slow",
        "413": "The body is too large",
        "415": "The body is no JSON",
        "503": "Not now; `retry-after` says when to come again",
    }
    return {status: _json(words, _ref("Problem")) for status, words in what.items()}


def _get(summary: str, schema: Schema) -> Schema:
    return {"summary": summary, "responses": {"200": _json(summary, schema), "401": _json("A key is needed", _ref("Problem"))}}


def _probe(summary: str) -> Schema:
    return {"summary": summary, "security": [], "responses": {"200": {"description": "Yes"}, "503": {"description": "No"}}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _nullable(kind: str) -> Schema:
    return {"type": [kind, "null"]}


def _id(*, longest: int = 128, null: bool = True, description: str | None = None) -> Schema:
    schema: Schema = {"type": ["string", "null"] if null else "string", "minLength": 1, "maxLength": longest}
    return schema if description is None else {**schema, "description": description}


def _integer(least: int, most: int) -> Schema:
    return {"type": ["integer", "null"], "minimum": least, "maximum": most}


def _moment(*, null: bool = True, description: str = "ISO 8601 with its offset from UTC") -> Schema:
    return {"type": ["string", "null"] if null else "string", "format": "date-time", "maxLength": 40, "description": description}
