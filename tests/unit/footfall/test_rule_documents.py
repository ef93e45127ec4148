"""A rule is what it says, or it is refused by the field that does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from footfall.errors import ContractError
from footfall.rules import Rule, segments_of

FULL = Rule(
    "spring",
    "boost",
    ["a"],
    ["Acme"],
    ["food > dairy"],
    None,
    1.5,
    ["home"],
    ["vip"],
    "2020-03-01T00:00:00+00:00",
    "2020-04-01T00:00:00Z",
    7,
    False,
    "why",
)


def test_a_rule_comes_back_from_its_text() -> None:
    assert Rule.from_json(FULL.to_json()) == FULL
    assert FULL.window_us == (1_583_020_800_000_000, 1_585_699_200_000_000)


@pytest.mark.parametrize(
    ("field", "kind", "fields"),
    [
        ("rule_id", "exclude", {"rule_id": ""}),
        ("rule_id", "exclude", {"rule_id": "x" * 65}),
        ("kind", "promote", {}),
        ("items", "exclude", {"items": []}),
        ("items", "exclude", {"items": "abc"}),
        ("items", "exclude", {"items": [""]}),
        ("brands", "exclude", {"brands": [1]}),
        ("categories", "exclude", {"categories": ["c"] * 1001}),
        ("places", "exclude", {"places": ["kitchen"]}),
        ("segments", "exclude", {"segments": None}),
        ("position", "exclude", {"position": 1}),
        ("factor", "exclude", {"factor": 0.5}),
        ("items", "pin", {"items": ["a", "b"], "position": 1}),
        ("brands", "pin", {"brands": ["b"], "position": 1}),
        ("categories", "pin", {"categories": ["c"], "position": 1}),
        ("position", "pin", {}),
        ("position", "pin", {"position": 0}),
        ("position", "pin", {"position": 101}),
        ("position", "pin", {"position": True}),
        ("factor", "pin", {"position": 1, "factor": 2.0}),
        ("factor", "boost", {}),
        ("factor", "boost", {"factor": 1.0}),
        ("factor", "boost", {"factor": 100.5}),
        ("factor", "boost", {"factor": float("nan")}),
        ("factor", "boost", {"factor": "2"}),
        ("factor", "bury", {"factor": 1.0}),
        ("factor", "bury", {"factor": 0.0}),
        ("factor", "bury", {"factor": False}),
        ("starts", "exclude", {"starts": "2020-03-01T00:00:00"}),
        ("starts", "exclude", {"starts": "soon"}),
        ("ends", "exclude", {"ends": 5}),
        ("ends", "exclude", {"starts": "2020-03-01T00:00:00Z", "ends": "2020-03-01T01:00:00+01:00"}),
        ("priority", "exclude", {"priority": 1.5}),
        ("priority", "exclude", {"priority": 1_000_001}),
        ("enabled", "exclude", {"enabled": 1}),
        ("note", "exclude", {"note": 1}),
    ],
)
def test_a_rule_that_does_not_fit_names_its_field(field: str, kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ContractError) as caught:
        Rule(**{"rule_id": "r", "kind": kind, "items": ["a"], **fields})
    assert caught.value.where == f"rule.{field}"
    assert caught.value.expected


def test_a_rule_of_another_schema_is_refused() -> None:
    with pytest.raises(ContractError, match="another schema"):
        Rule.from_json(FULL.to_json().replace("rule/1", "rule/9"))


def test_segments_are_the_words_of_the_attributes() -> None:
    attributes = {
        "tier": "gold",
        "age": 30,
        "likes": ["tea", {"no": 1}, None],
        "new": False,
        "segments": ["vip", 5],
        "home": {"city": "x"},
        "gone": None,
    }
    assert segments_of(attributes) == {"tier=gold", "age=30", "likes=tea", "new=false", "vip", "segments=5"}
    assert segments_of({}) == frozenset()
