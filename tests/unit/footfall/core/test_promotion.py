from __future__ import annotations

from typing import Any

import pytest

from footfall.core.promotion import decide, explained
from footfall.params import Release

LIMITS = Release(
    min_difference=-0.005,
    min_slice_difference=-0.02,
    min_slice_users=200,
    min_baseline_difference=0.0,
    max_bundle_mb=200,
    max_latency_ms=50,
    min_explained_share=0.9,
)


def measured(low: float, high: float, users: int = 1000) -> dict[str, Any]:
    return {"users": users, "challenger": 0.2, "champion": 0.2, "difference": (low + high) / 2, "interval": [low, high]}


def evidence(low: float = -0.002, high: float = 0.002, *, fresher: bool = True, **other: Any) -> dict[str, Any]:
    facts = {"release_id": "r1", "as_of": "2017-11-26T00:00:00+00:00"}
    check = {"name": "size", "ok": True, "sentence": "The bundle takes 9 MB."}
    return {
        "challenger": facts,
        "champion": facts,
        "fresher": fresher,
        "k": 10,
        "checks": [check],
        "overall": measured(low, high),
        "slices": {},
    } | other


def test_an_equal_challenger_passes_as_fresher() -> None:
    outcome, reasons = decide(evidence(), LIMITS)
    assert outcome == "promote"
    assert any("fresher" in reason for reason in reasons)


def test_an_equal_challenger_of_the_same_moment_is_refused() -> None:
    outcome, reasons = decide(evidence(fresher=False), LIMITS)
    assert outcome == "refuse"
    assert "neither better" in reasons[0]


def test_a_better_challenger_of_the_same_moment_passes() -> None:
    outcome, reasons = decide(evidence(0.001, 0.01, fresher=False), LIMITS)
    assert outcome == "promote"
    assert any("better" in reason for reason in reasons)


@pytest.mark.parametrize(("low", "outcome"), [(-0.005, "promote"), (-0.0051, "refuse")])
def test_the_lower_end_of_the_interval_decides(low: float, outcome: str) -> None:
    found, reasons = decide(evidence(low, 0.01), LIMITS)
    assert found == outcome
    assert any("All users (1000)" in reason for reason in reasons)


@pytest.mark.parametrize(("low", "users", "outcome"), [(-0.02, 200, "promote"), (-0.021, 200, "refuse"), (-0.3, 199, "promote")])
def test_a_slice_votes_when_it_has_enough_users(low: float, users: int, outcome: str) -> None:
    found, reasons = decide(evidence(slices={"cold_user": measured(low, 0.1, users)}), LIMITS)
    assert found == outcome
    assert any("Slice cold_user" in reason for reason in reasons)


def test_a_failed_check_refuses_whatever_the_figures_say() -> None:
    checks = [{"name": "latency", "ok": False, "sentence": "One request takes 80 ms."}]
    assert decide(evidence(0.1, 0.2, checks=checks), LIMITS) == ("refuse", ["One request takes 80 ms."])
    assert decide(evidence(champion=None, checks=checks), LIMITS) == ("refuse", ["One request takes 80 ms."])


def test_nothing_compared_is_nothing_promoted() -> None:
    outcome, reasons = decide(evidence(overall=None), LIMITS)
    assert outcome == "refuse"
    assert reasons


def test_the_first_release_is_promoted_when_every_check_holds() -> None:
    outcome, reasons = decide(evidence(champion=None), LIMITS)
    assert outcome == "promote"
    assert "no champion" in reasons[0]


@pytest.mark.parametrize(
    ("told", "ok"),
    [
        ({"share": 0.85, "interval": [0.8, 0.9]}, True),
        ({"share": 0.85, "interval": [0.8, 0.8999]}, False),
        ({"share": 0.9}, True),
        ({"share": 0.8999}, False),
    ],
)
def test_explanations_are_refused_when_the_upper_end_of_their_share_is_below_the_limit(told: dict[str, Any], ok: bool) -> None:
    check = explained(told, LIMITS.min_explained_share)
    assert check is not None
    assert check["ok"] is ok
    assert decide(evidence(checks=[check]), LIMITS)[0] == ("promote" if ok else "refuse")


def test_explanations_say_what_was_found_and_asked() -> None:
    assert explained({"share": 0.85, "interval": [0.8, 0.88]}, 0.9) == {
        "name": "explanations",
        "ok": False,
        "sentence": "Of its explanations 85.0% pass their test, 95% interval 80.0% to 88.0%, and its upper end is below the limit of 90.0%.",
    }


def test_where_no_share_was_found_none_is_asked() -> None:
    assert explained({}, 0.9) is None
    assert explained({"reason": "no line has an event that carried it and others beside"}, 0.9) is None


def test_every_reason_is_a_sentence() -> None:
    for given in (evidence(), evidence(-0.1, 0), evidence(fresher=False), evidence(champion=None), evidence(slices={"cold_user": measured(0, 0, 3)})):
        assert all(reason[0].isupper() and reason.endswith(".") for reason in decide(given, LIMITS)[1])
