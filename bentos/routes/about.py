"""What the service says of itself."""

from __future__ import annotations

from bentos.web.endpoints import READ, Asked, Endpoint
from bentos.web.fields import Schema, object_schema
from bentos.web.problems import Answer, answer
from footfall.store.arms import BESIDE

_TEXT_OR_NOT: Schema = {"type": ["string", "null"]}
_ARM: Schema = object_schema(
    {
        "arm": {"enum": list(BESIDE)},
        "release": {"type": "string"},
        "share": {"type": ["number", "null"], "description": "Of the users, the canary's"},
        "open": {"type": "boolean", "description": "Whether it is warm, and takes part"},
        "failed": {**_TEXT_OR_NOT, "description": "Why it is not open"},
    }
)
RELEASE: Schema = {
    "title": "Release",
    **object_schema(
        {
            "release": _TEXT_OR_NOT,
            "failed": _TEXT_OR_NOT,
            "arms": {"type": "array", "maxItems": len(BESIDE), "items": _ARM},
            "store": {"enum": ["ready", "away"]},
            "code": {"type": "string"},
        }
    ),
}


async def _release(asked: Asked) -> Answer:
    return answer(asked.parts.answering.describe())


async def _openapi(asked: Asked) -> Answer:
    from bentos.web.openapi import document

    return answer(document(replay_clock=asked.parts.replay_clock))


ENDPOINTS = (
    Endpoint("GET", "/v1/release", READ, "Which releases serve", _release, {200: ("The release", RELEASE)}),
    Endpoint("GET", "/v1/openapi.json", READ, "This document", _openapi, {200: ("The document", {"type": "object"})}),
)
