"""What a slate may be asked to be, slates of items, scores and the home page, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import bentos.slates.ranking
from bentos.slates.asking import SlateRequest
from footfall.core.exploration import Exploration, explore, request_stream
from footfall.store import exposures
from footfall.store.moments import from_us
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import AT, bought, items, post_events, recommend, true_to

FACTS = {"a": ("tea > green", "Acme", 500), "b": ("tea > black", "Bell", 700), "c": ("cups", "Acme", 900), "d": ("cups", None, None)}


def tell(service: Service, **changes: dict[str, Any]) -> None:
    """The shop's items; `e` is not told of."""
    told = []
    for item, (category, brand, price) in FACTS.items():
        row = {"item_id": item, "title": item.upper(), "category_path": category, "brand": brand, "price_minor": price, "currency": price and "EUR"}
        told.append({**row, **changes.get(item, {})})
    assert ask(service.app, "PUT", "/v1/items", {"items": told, "at": AT}).json == {"accepted": 4, "rejected": []}


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({}, ["a", "b", "c", "d", "e"]),
        ({"categories": ["tea"]}, ["a", "b"]),
        ({"categories": ["tea > black", "cups"]}, ["b", "c", "d"]),
        ({"brands": ["Acme"]}, ["a", "c"]),
        ({"price_from": 500, "price_to": 700}, ["a", "b"]),
        ({"price_to": 800, "currency": "EUR", "brands": ["Bell"]}, ["b"]),
        ({"in_stock": True}, ["b", "c", "d"]),
    ],
)
def test_filters_let_through_what_the_shop_says_fits(service: Service, filters: dict[str, Any], shown: list[str]) -> None:
    tell(service, a={"available": False})
    assert items(recommend(service, filters=filters)) == shown


def test_nothing_that_passes_is_an_empty_slate_that_says_so(service: Service) -> None:
    tell(service)
    answer = true_to("RecommendAnswer", recommend(service, filters={"brands": ["Nobody"]}))
    assert (answer["items"], answer["degraded"]) == ([], "nothing_passes")


def test_what_the_shop_withdraws_is_gone_from_the_next_slate(service: Service) -> None:
    tell(service)
    assert "a" in items(recommend(service))
    tell(service, a={"recommendable": False})
    assert "a" not in items(recommend(service))


def test_what_was_bought_may_be_left_out_and_context_is_never_shown(service: Service) -> None:
    post_events(service, bought("c"))
    assert items(recommend(service, user_id="ann", k=1)) == ["c"]
    assert "c" not in items(recommend(service, user_id="ann", exclude_bought=True))
    assert "c" not in items(recommend(service, user_id="ann", context_item_id="c"))


def put_rules(service: Service, *rules: dict[str, Any]) -> None:
    assert ask(service.app, "PUT", "/v1/rules", {"rules": list(rules), "at": AT}).json == {"accepted": len(rules), "rejected": []}


def test_a_rule_holds_from_the_next_request_on_and_the_slate_names_it(service: Service) -> None:
    tell(service)
    assert items(recommend(service)) == ["a", "b", "c", "d", "e"]
    put_rules(service, {"rule_id": "no-tea", "kind": "exclude", "categories": ["tea"], "places": ["home"]})
    put_rules(service, {"rule_id": "top", "kind": "pin", "items": ["d"], "position": 1})
    home = true_to("RecommendAnswer", recommend(service, place="home"))
    assert [(line["item_id"], line["rules"]) for line in home["items"]] == [("d", ["top"]), ("c", []), ("e", [])]
    assert home["rules_excluding"] == ["no-tea"]
    cart = true_to("RecommendAnswer", recommend(service, place="cart"))
    assert ([line["item_id"] for line in cart["items"]], cart["rules_excluding"]) == (["d", "a", "b", "c", "e"], [])
    ask(service.app, "DELETE", "/v1/rules/top")
    assert items(recommend(service, place="home")) == ["c", "d", "e"]


def test_a_rule_for_a_segment_holds_for_who_is_in_it(service: Service) -> None:
    put_rules(service, {"rule_id": "gold", "kind": "pin", "items": ["e"], "position": 1, "segments": ["tier=gold"]})
    told = [{"user_id": "ann", "attributes": {"tier": "gold"}}, {"user_id": "bob", "attributes": {"tier": "tin"}}]
    assert ask(service.app, "PUT", "/v1/users", {"users": told, "at": AT}).json["accepted"] == 2
    assert [items(recommend(service, user_id=user, k=1)) for user in ("ann", "bob", "eve")] == [["e"], ["a"], ["a"]]


def test_other_workers_hear_of_a_rule_at_their_next_look(start: Callable[..., Service], service: Service) -> None:
    other = start(champion=None)
    put_rules(service, {"rule_id": "no", "kind": "exclude", "items": ["a"]})
    assert "a" in items(recommend(other))
    other.answering.shop_window.look()
    assert "a" not in items(recommend(other))


def test_while_the_store_is_away_rules_stay_as_they_were(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    put_rules(service, {"rule_id": "no", "kind": "exclude", "items": ["a"]})
    monkeypatch.setattr(service.store, "_away_until", float("inf"))
    service.answering.shop_window.look()
    assert "a" not in items(recommend(service))


def test_chance_moves_what_stands_behind_the_second_position_and_says_how_likely_that_was(start: Callable[..., Service]) -> None:
    service = start(exploration=Exploration(rate=0.5, first=3, pool=2))
    post_events(service, bought("c"), bought("d"))
    ranked = items(recommend(service, events=[{"event_type": "purchase", "item_id": item} for item in ("c", "d")], k=5))
    seen = set()
    for _ in range(40):
        answer = true_to("RecommendAnswer", recommend(service, user_id="ann", k=3))
        shown = [line["item_id"] for line in answer["items"]]
        assert shown[:2] == ranked[:2]
        assert [line["propensity"] for line in answer["items"][:2]] == [1.0, 1.0]
        assert 0 < answer["items"][2]["propensity"] < 1
        seen.add(shown[2])
        again = explore(*drawing(ranked), 3, Exploration(rate=0.5, first=3, pool=2), request_stream(answer["request_id"]))
        assert [ranked[place - 1] for place in again.items] == shown
        assert list(again.propensities) == [line["propensity"] for line in answer["items"]]
    assert len(seen) > 1
    service.written()
    logged = exposures.window(service.engine, from_us(0), from_us(2**52)).to_pylist()
    assert {row["propensity"] < 1 for row in logged if row["position"] == 3} == {True}


def test_each_row_of_a_home_page_is_drawn_for_itself_given_the_rows_above(start: Callable[..., Service]) -> None:
    exploration = Exploration(rate=0.5, first=1, pool=2)
    service = start(exploration=exploration)
    post_events(service, bought("c"), bought("d"))
    plain = [{"event_type": "purchase", "item_id": item} for item in ("c", "d")]
    lower = set()
    for _ in range(40):
        page = true_to("HomeAnswer", door(service, "home", user_id="ann", k=2))
        assert [row["kind"] for row in page["rows"][:2]] == ["for_you", "popular"]
        above: list[str] = []
        for row, ranked in zip(page["rows"], (items(recommend(service, events=plain, k=5)), list("abcde")), strict=False):
            left = [item for item in ranked if item not in above]
            again = explore(*drawing(left), 2, exploration, request_stream(row["request_id"]))
            shown = [line["item_id"] for line in row["items"]]
            assert [left[place - 1] for place in again.items] == shown
            assert list(again.propensities) == [line["propensity"] for line in row["items"]]
            above += shown
        lower.add(tuple(above[2:]))
    assert len(lower) > 2
    service.written()
    logged = exposures.window(service.engine, from_us(0), from_us(2**52)).to_pylist()
    told = {(row["request_id"], line["position"]): line["propensity"] for row in page["rows"] for line in row["items"]}
    assert {(row["request_id"], row["position"]): row["propensity"] for row in logged if (row["request_id"], row["position"]) in told} == told


def test_a_home_page_of_nobody_is_shown_nothing_by_chance(start: Callable[..., Service]) -> None:
    service = start(exploration=Exploration(rate=1.0, first=1, pool=2))
    page = door(service, "home", k=2).json
    assert {line["propensity"] for row in page["rows"] for line in row["items"]} == {1.0}


def drawing(ranked: list[str]) -> Any:
    """The candidates by number, in their order."""
    import numpy as np

    return np.arange(1, len(ranked) + 1, dtype=np.int32), np.linspace(1, 0, len(ranked))


def test_nobody_in_particular_is_shown_nothing_by_chance(start: Callable[..., Service]) -> None:
    service = start(exploration=Exploration(rate=1.0, first=1, pool=2))
    answer = recommend(service)
    assert items(answer) == ["a", "b", "c", "d", "e"]
    assert {line["propensity"] for line in answer.json["items"]} == {1.0}


def door(service: Service, name: str, **fields: Any) -> Answer:
    return ask(service.app, "POST", f"/v1/{name}", {"at": AT, **fields})


def test_slates_of_items_never_hold_the_items_themselves(service: Service) -> None:
    tell(service)
    similar = true_to("ItemSlate", door(service, "similar", item_id="a", k=3))
    together = true_to("ItemSlate", door(service, "complementary", item_ids=["a", "b"], filters={"categories": ["cups"]}))
    assert "a" not in {line["item_id"] for line in similar["items"]}
    assert {line["item_id"] for line in together["items"]} == {"c", "d"}
    unknown = true_to("ItemSlate", door(service, "similar", item_id="nothing"))
    assert (unknown["degraded"], len(unknown["items"])) == ("unknown_item", 5)


def test_scores_are_those_of_the_slate(service: Service) -> None:
    post_events(service, bought("c"))
    slate = {line["item_id"]: line["score"] for line in recommend(service, user_id="ann").json["items"]}
    scored = true_to("ScoreAnswer", door(service, "score", user_id="ann", item_ids=["e", "zz", "c"]))
    assert scored["items"] == [{"item_id": name, "score": slate.get(name), "probability": None} for name in ("e", "zz", "c")]


def test_a_home_page_shows_no_item_twice_and_each_row_of_a_user_is_an_exposure(service: Service) -> None:
    tell(service)
    post_events(service, bought("c"), bought("d"), bought("b"))
    page = true_to("HomeAnswer", door(service, "home", user_id="ann", k=2))
    shown = [line["item_id"] for row in page["rows"] for line in row["items"]]
    assert page["rows"][0]["kind"] == "for_you"
    assert len(shown) == len(set(shown))
    service.written()
    assert exposures.count_slates(service.engine) == len(page["rows"])
    assert len(door(service, "home", user_id="ann", k=2, rows=1).json["rows"]) == 1


def test_a_stranger_and_nobody_get_a_home_page_too(service: Service) -> None:
    for fields in ({}, {"user_id": "stranger"}):
        page = true_to("HomeAnswer", door(service, "home", **fields))
        assert page["degraded"] == "no_history"
        assert page["rows"][0]["items"]


def test_a_slate_says_on_request_which_events_carried_it(service: Service) -> None:
    post_events(service, bought("c"), bought("d", occurred_at="2020-05-10T00:00:00Z"))
    assert "because" not in recommend(service, user_id="ann").json
    answer = true_to("RecommendAnswer", recommend(service, user_id="ann", k=3, explain=True))
    cited = {one["item_id"]: [event["item_id"] for event in one["events"]] for one in answer["because"]}
    assert list(cited) == [line["item_id"] for line in answer["items"]]
    assert cited["c"][0] == "c"
    assert {item for found in cited.values() for item in found} == {"c", "d"}
    assert {event["occurred_at"] for one in answer["because"] for event in one["events"] if event["item_id"] == "d"} == {"2020-05-10T00:00:00+00:00"}
    assert [one["events"] for one in true_to("RecommendAnswer", recommend(service, k=2, explain=True))["because"]] == [[], []]


def test_only_a_quick_slate_that_needs_nothing_of_the_store_is_made_without_a_thread(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    answered_by: list[str] = []
    whole = service.answering.recommend

    def recommend(request: SlateRequest) -> dict[str, Any]:
        answered_by.append(threading.current_thread().name)
        return whole(request)

    monkeypatch.setattr(service.answering, "recommend", recommend)
    anonymous = {"events": [{"event_type": "view", "item_id": "a", "occurred_at": "2020-05-01T00:00:00Z"}]}
    bodies: list[dict[str, Any]] = [anonymous, anonymous, {"user_id": "ann"}, anonymous | {"explain": True}]
    for quick in (3600.0, 0.0):
        monkeypatch.setattr(bentos.slates.ranking, "QUICK_S", quick)
        assert [ask(service.app, "POST", "/v1/recommend", body).status for body in bodies] == [200] * 4
    own = [name == threading.current_thread().name for name in answered_by]
    assert own == [False, True, False, False, False, False, False, False]  # of the first slate nobody knew what it would take
