from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bentos.routes.events import EVENT_FIELDS
from bentos.routes.table import ENDPOINTS
from bentos.web.app import make_app
from bentos.web.door import PATHS, Door
from bentos.web.openapi import document
from bentos.web.problems import Problem
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.reading import read_events_request, read_slate_request
from tests.unit.bentos.test_answers_over_http import BAD_SLATE_REQUESTS, bought

# what JSON Schema does not say, or says by a format that is only a hint: moments, white space, NUL and surrogates
BEYOND_SCHEMA = ({"at": "now"}, {"at": "2020-05-20T12:00:00"}, {"at": "0001-01-01T00:00:00+14:00"}, {"at": "9999-12-31T23:59:59-14:00"})
BEYOND_SCHEMA += ({"user_id": "nul\x00"}, {"user_id": "\ud800"}, {"user_id": " ann"})


def validator(name: str) -> Draft202012Validator:
    page = document(replay_clock=True)
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": page["components"]})


def is_accepted(body: Any) -> bool:
    try:
        read_slate_request(body, now_us=0, pseudonymise=str, replay_clock=True)
    except Problem:
        return False
    return True


def test_the_page_served_is_the_document_and_names_every_path(service: Service) -> None:
    page = ask(service.app, "GET", "/v1/openapi.json").json
    assert page == document(replay_clock=True)
    assert set(page["paths"]) == PATHS - {"/healthz"} | {endpoint.path for endpoint in ENDPOINTS}
    for schema in page["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


ELSEWHERE = ("192.0.2.1", 3000)
KEY = "k" * 16


def assert_told(answer: Answer, path: str) -> None:
    """The document has this status of a GET, and this body where it is a refusal."""
    page = document()
    told = page["paths"][path]["get"]["responses"][str(answer.status)]
    if answer.status >= 400:
        Draft202012Validator({**told["content"]["application/json"]["schema"], "components": page["components"]}).validate(answer.json)


def test_whatever_refuses_the_metrics_is_in_the_document(start: Callable[..., Service]) -> None:
    keyed, starting = start(api_keys=(KEY,), rate=1.0, clock=lambda: 0.0), Door(make_app())
    answers = [ask(keyed.app, "GET", "/metrics", x_api_key=key) for key in ("", KEY, KEY)]
    answers += [ask(starting, "GET", "/metrics", server=ELSEWHERE), ask(starting, "GET", "/metrics")]
    assert [answer.status for answer in answers] == [401, 200, 429, 403, 503]
    assert sorted(document()["paths"]["/metrics"]["get"]["responses"]) == ["200", "401", "403", "429", "503"]
    for answer in answers:
        assert_told(answer, "/metrics")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_asks_for_no_key_and_is_refused_beyond_loopback_without_keys(service: Service, path: str) -> None:
    assert document()["paths"][path]["get"]["security"] == []
    refused = ask(service.app, "GET", path, server=ELSEWHERE)
    assert refused.status == 403
    assert_told(refused, path)


def test_a_key_is_taken_by_every_way_that_the_document_names_and_without_keys_none_is_asked_for(start: Callable[..., Service]) -> None:
    page, service = document(), start(api_keys=(KEY,))
    ways = {"bearer": {"authorization": f"Bearer {KEY}"}, "header": {"x-api-key": KEY}}
    assert page["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    assert page["security"] == [{}, {"bearer": []}, {"header": []}]  # any of them is enough; none where there are no keys
    for headers in ways.values():
        assert ask(service.app, "GET", "/v1/release", **headers).status == 200
    assert ask(service.app, "GET", "/v1/release").status == 401


def test_only_a_service_that_replays_offers_a_moment() -> None:
    for name in ("RecommendRequest", "EventsRequest"):
        assert "at" not in document()["components"]["schemas"][name]["properties"]
        assert "at" in document(replay_clock=True)["components"]["schemas"][name]["properties"]


@pytest.mark.parametrize("body", [body for body in BAD_SLATE_REQUESTS if body not in BEYOND_SCHEMA])
def test_what_the_document_forbids_is_refused(body: dict[str, Any]) -> None:
    assert not validator("RecommendRequest").is_valid(body)
    assert not is_accepted(body)


GOOD = [{}, {"k": None}, {"user_id": "ann", "k": 100, "place": "p", "context_item_id": "i", "exclude": [], "at": "2020-01-01T00:00:00Z"}]
GOOD += [{"events": [{"event_type": "view", "item_id": None, "occurred_at": "2020-01-01T00:00:00+01:00"}]}]


@pytest.mark.parametrize("body", GOOD)
def test_what_the_document_allows_is_accepted(body: dict[str, Any]) -> None:
    validator("RecommendRequest").validate(body)
    assert is_accepted(body)


def test_the_fields_of_an_event_are_those_of_the_document() -> None:
    assert set(document()["components"]["schemas"]["Event"]["properties"]) == set(EVENT_FIELDS)


FULL = bought("i", event_id="e", session_id="s", quantity=-3, price_minor=2**62, currency="EUR", query="q", rating=4, text="t", duration_s=0.5)
FULL |= {"place": "p", "device": "d", "campaign_id": "c", "request_id": "r", "position": 1}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True), ({"quantity": None}, True), ({"currency": "eur"}, False), ({"currency": "EURO"}, False), ({"rating": "4"}, False),
        ({"rating": 1e7}, False), ({"duration_s": -1}, False), ({"position": 0}, False), ({"quantity": 2**63}, False), ({"quantity": 1.5}, False),
        ({"text": "x" * 10_001}, False), ({"device": "x" * 65}, False), ({"user_id": None}, False), ({"event_type": "theft"}, False),
        ({"origin": "x"}, False),
    ],
)  # fmt: skip
def test_an_event_fits_exactly_when_the_document_says_so(change: dict[str, Any], fits: bool) -> None:
    event = {**FULL, **change}
    found = read_events_request({"events": [event]}, now_us=2**60, pseudonymise=str)
    assert validator("Event").is_valid(event) == fits == (not found.rejected)
