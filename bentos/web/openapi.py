"""The OpenAPI document, made of the table of endpoints; tests validate real answers and real refusals against it."""

from __future__ import annotations

from typing import Any

from bentos.routes.table import ENDPOINTS
from bentos.web.bodies import MAX_BODY_BYTES
from bentos.web.endpoints import READ, Endpoint
from bentos.web.fields import Schema, object_schema

_REFUSALS = {
    400: "The request does not fit",
    401: "A key is needed",
    403: "The key may not do that; or there are no keys, and this is not loopback",
    429: "The key sends too many requests; `retry-after` says when to come again",
    503: "Not now; `retry-after` says when to come again",
}
_REFUSED_BODIES = {408: "The body was too slow", 413: "The body is too large", 415: "The body is no JSON"}
_KEYS: Schema = {"bearer": {"type": "http", "scheme": "bearer"}, "header": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
_TEXT_OR_NOT: Schema = {"type": ["string", "null"]}
PROBLEM: Schema = {
    "title": "Problem",
    **object_schema({"error": {"type": "string"}, "what": {"type": "string"}} | dict.fromkeys(("where", "expected", "found", "next"), _TEXT_OR_NOT)),
}


def document(*, replay_clock: bool = False) -> Schema:
    """The document; with a replay clock, requests may also say `at`."""
    paths: dict[str, Schema] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, replay_clock=replay_clock)
    paths |= {"/livez": {"get": _probe("The process lives")}, "/readyz": {"get": _probe("A release is open and warm")}}
    paths["/metrics"] = {"get": _metrics()}
    schemas: dict[str, Schema] = {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Footfall",
            "version": "1",
            "description": f"Recommendations and behaviour events. JSON only, at most {MAX_BODY_BYTES} bytes a body.",
        },
        "paths": _hoisted(paths, schemas),
        "components": {"schemas": schemas, "securitySchemes": _KEYS},
        "security": [{}, *({name: []} for name in _KEYS)],
    }


def _operation(endpoint: Endpoint, *, replay_clock: bool) -> Schema:
    answers = {status: _json(words, PROBLEM) for status, words in _REFUSALS.items()}
    found: Schema = {"summary": endpoint.summary, "description": f"Where there are keys, one for {endpoint.role} is needed."}
    if endpoint.parameters:
        found["parameters"] = [{"name": name, "in": "path", "required": True, "schema": one.schema} for name, one in endpoint.parameters.items()]
    if endpoint.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": endpoint.body.schema(replay_clock=replay_clock)}}}
        answers |= {status: _json(words, PROBLEM) for status, words in _REFUSED_BODIES.items()}
    for status, (words, schema) in endpoint.answers.items():
        answers[status] = _json(words, {"anyOf": [schema, PROBLEM]} if status in _REFUSALS else schema)
    return found | {"responses": {str(status): answers[status] for status in sorted(answers)}}


def _hoisted(part: Any, schemas: dict[str, Schema]) -> Any:
    """The same with every object schema that has a title put into `schemas`, and a reference in its place."""
    if isinstance(part, list):
        return [_hoisted(one, schemas) for one in part]
    if not isinstance(part, dict):
        return part
    title = part.get("title")
    found = {name: _hoisted(one, schemas) for name, one in part.items()}
    if isinstance(title, str) and part.get("type") == "object":
        schemas[title] = {name: one for name, one in found.items() if name != "title"}
        return {"$ref": f"#/components/schemas/{title}"}
    return found


def _metrics() -> Schema:
    refusals = {str(status): _json(words, PROBLEM) for status, words in _REFUSALS.items() if status != 400}
    text = {"description": "Text", "content": {"text/plain": {}}}
    return {
        "summary": "Metrics for Prometheus",
        "description": f"Where there are keys, one for {READ} is needed.",
        "responses": {"200": text} | refusals,
    }


def _probe(summary: str) -> Schema:
    answers = {"200": {"description": "Yes"}, "403": _json("There are no keys, and this is not loopback", PROBLEM), "503": {"description": "No"}}
    return {"summary": summary, "security": [], "responses": answers}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
