"""What the shares in `because` are shares of: the user's history alone, whatever else moved the slate."""

from __future__ import annotations

from typing import Any

from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import bought, post_events, recommend
from tests.unit.bentos.test_rule_doors import put


def shares(service: Service, **wished: Any) -> tuple[list[float], dict[str, Any]]:
    """The scores of a slate, and of each item the events that carried it."""
    answer = recommend(service, user_id="ann", k=4, explain=True, **wished).json
    return [line["score"] for line in answer["items"]], {one["item_id"]: one["events"] for one in answer["because"]}


def test_context_rules_and_diversity_move_items_and_not_the_shares_of_what_carried_them(service: Service) -> None:
    post_events(service, bought("c"), bought("d", occurred_at="2020-05-10T00:00:00Z"))
    plain, cited = shares(service)
    assert all(0 < event["share"] <= 1 for events in cited.values() for event in events)
    in_context, beside = shares(service, context_item_id="a", diversity=0.5)
    assert put(service, {"rule_id": "up", "kind": "boost", "items": ["d"], "factor": 3.0}).json["accepted"] == 1
    ruled, under_rules = shares(service)
    assert plain not in (in_context, ruled)  # they were moved
    for others in (beside, under_rules):
        both = cited.keys() & others.keys()
        assert len(both) >= 3
        assert {item: others[item] for item in both} == {item: cited[item] for item in both}
