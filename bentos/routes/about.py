"""What the service says of itself."""

from __future__ import annotations

from starlette.responses import Response

from bentos.web.endpoints import READ, Asked, Endpoint
from bentos.web.fields import Schema, object_schema
from bentos.web.problems import answer

_TEXT_OR_NOT: Schema = {"type": ["string", "null"]}
RELEASE: Schema = {
    "title": "Release",
    **object_schema({"release": _TEXT_OR_NOT, "failed": _TEXT_OR_NOT, "store": {"enum": ["ready", "away"]}, "code": {"type": "string"}}),
}


async def _release(asked: Asked) -> Response:
    return answer(asked.parts.answering.describe())


async def _openapi(asked: Asked) -> Response:
    from bentos.web.openapi import document

    return answer(document(replay_clock=asked.parts.replay_clock))


ENDPOINTS = (
    Endpoint("GET", "/v1/release", READ, "Which release serves", _release, {200: ("The release", RELEASE)}),
    Endpoint("GET", "/v1/openapi.json", READ, "This document", _openapi, {200: ("The document", {"type": "object"})}),
)
