from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bentos.routes.events import EVENT_FIELDS
from bentos.routes.table import ENDPOINTS
from bentos.web.door import PATHS
from bentos.web.openapi import document
from bentos.web.problems import Problem
from tests.unit.bentos.asgi import ask
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
