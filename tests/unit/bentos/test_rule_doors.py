"""GET and PUT /v1/rules, DELETE /v1/rules/{id}, GET /v1/rules/changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.routes.rules import RULE
from footfall.rules import Rule
from footfall.store import rules
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import AT, true_to
from tests.unit.bentos.test_fuzzed_requests import JSON

HIDE: dict[str, Any] = {"rule_id": "hide", "kind": "exclude", "brands": ["Acme"]}
PIN = {"rule_id": "pin", "kind": "pin", "items": ["a"], "position": 2, "starts": "2020-05-20T14:00:00+02:00", "priority": 3, "note": "spring"}
PIN_KEPT = Rule("pin", "pin", items=["a"], position=2, starts="2020-05-20T12:00:00+00:00", priority=3, note="spring")


def put(service: Service, *told: object) -> Answer:
    return ask(service.app, "PUT", "/v1/rules", {"rules": list(told), "at": AT})


def test_rules_are_listed_as_they_were_put_and_can_be_put_again(service: Service) -> None:
    assert true_to("BatchAnswer", put(service, PIN, HIDE)) == {"accepted": 2, "rejected": []}
    assert rules.active(service.engine) == [Rule("hide", "exclude", brands=["Acme"]), PIN_KEPT]

    listed = true_to("Rules", ask(service.app, "GET", "/v1/rules"))["rules"]

    assert [one["rule_id"] for one in listed] == ["hide", "pin"]
    before = rules.revision(service.engine)
    assert put(service, *listed).json["accepted"] == 2
    assert rules.revision(service.engine) == before


def test_a_rule_is_taken_away_once(service: Service) -> None:
    put(service, HIDE)
    answers = [true_to("RuleRemoved", ask(service.app, "DELETE", "/v1/rules/hide")) for _ in range(2)]
    assert answers == [{"removed": True}, {"removed": False}]
    assert ask(service.app, "GET", "/v1/rules").json == {"rules": []}
    assert ask(service.app, "DELETE", f"/v1/rules/{'x' * 65}").status == 400


def test_the_changes_say_who_did_what_and_when(service: Service) -> None:
    put(service, HIDE)
    put(service, {**HIDE, "enabled": False})
    ask(service.app, "DELETE", "/v1/rules/hide")

    removed, changed, made = true_to("RuleChanges", ask(service.app, "GET", "/v1/rules/changes"))["changes"]

    assert (made["before"], made["after"]["enabled"], changed["before"], changed["after"]["enabled"]) == (None, True, made["after"], False)
    assert (removed["before"], removed["after"]) == (changed["after"], None)
    assert {one["who"] for one in (made, changed, removed)} == {"loopback"}
    assert (made["changed_at"], made["rule_id"]) == ("2020-05-20T12:00:00+00:00", "hide")
    assert removed["number"] > changed["number"] > made["number"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "boost"}, "factor"),
        ({"kind": "boost", "factor": 0.5}, "factor"),
        ({"kind": "pin", "brands": None, "items": ["a"]}, "position"),
        ({"brands": []}, "items"),
        ({"places": ["kitchen"]}, "places[0]"),
        ({"starts": AT, "ends": AT}, "ends"),
        ({"factor": 101}, "factor"),
        ({"rule_id": None}, "rule_id"),
        ({"weight": 1}, "weight"),
    ],
)
def test_a_rule_that_does_not_fit_is_named_by_its_field(service: Service, change: dict[str, Any], field: str) -> None:
    answer = put(service, {**HIDE, **change}, PIN)

    assert (answer.status, answer.json["accepted"]) == (200, 1)
    assert [(row["index"], row["field"]) for row in answer.json["rejected"]] == [(0, field)]
    assert rules.list_all(service.engine) == [PIN_KEPT]


def test_too_many_rules_are_refused_and_none_is_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_RULES", 1)
    answer = put(service, HIDE, PIN)
    assert (answer.status, answer.json["error"], answer.json["expected"]) == (400, "invalid", "at most 1")
    assert rules.list_all(service.engine) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.dictionaries(st.sampled_from(sorted(RULE.fields)), JSON, max_size=4) | JSON)
def test_no_rule_makes_the_service_fail(service: Service, change: Any) -> None:
    one = {**HIDE, **change} if isinstance(change, dict) else change
    answer = ask(service.app, "PUT", "/v1/rules", json.dumps({"rules": [PIN, one]}).encode("utf-8", "surrogatepass"))
    assert answer.status == 200
    assert answer.json["accepted"] + len(answer.json["rejected"]) == 2
    true_to("Rules", ask(service.app, "GET", "/v1/rules"))


def test_the_audit_names_the_key_that_asked(start: Callable[..., Service]) -> None:
    service = start(api_keys=("ops:admin:0123456789abcdef",))
    key = "Bearer 0123456789abcdef"
    assert ask(service.app, "PUT", "/v1/rules", {"rules": [HIDE]}, authorization=key).status == 200
    (made,) = ask(service.app, "GET", "/v1/rules/changes", authorization=key).json["changes"]
    assert made["who"] == "ops"
