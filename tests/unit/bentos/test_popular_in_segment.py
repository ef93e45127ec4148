"""Popular in segment: what stands in for a user's own taste where nothing is known of it, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from bentos.live import segments
from footfall.core.exploration import Exploration, explore, request_stream
from footfall.core.parts import Parts
from footfall.core.sequences import Sequences
from footfall.errors import StoreError
from footfall.recommender import Recommender
from footfall.store import exposures
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import AT, NOON, bought, items, post_events, recommend, true_to

BUYERS = [f"buyer-{number:02d}" for number in range(60)]
GOLD = {"tier": "gold"}


def tell(service: Service, *users: str, attributes: dict[str, Any] | None = None, **fields: Any) -> None:
    told = [{"user_id": user, "attributes": GOLD if attributes is None else attributes, **fields} for user in users]
    assert ask(service.app, "PUT", "/v1/users", {"users": told, "at": AT}).json["rejected"] == []


def buy(service: Service, item: str, *users: str) -> None:
    assert post_events(service, *[bought(item, user) for user in users]).json["rejected"] == []


def sell(service: Service) -> Service:
    """Sixty golden users bought e, which hardly anybody else does, and the newcomer `ann` is golden too."""
    tell(service, *BUYERS, "ann")
    buy(service, "e", *BUYERS)
    service.answering.segments.look()
    return service


@pytest.fixture
def shop(service: Service) -> Service:
    return sell(service)


def said(answer: Answer) -> tuple[Any, ...]:
    found = true_to("RecommendAnswer", answer)
    return found["policy"], found["degraded"], {line["reason"] for line in found["items"]}


def door(service: Service, name: str, **fields: Any) -> Answer:
    return ask(service.app, "POST", f"/v1/{name}", {"at": AT, **fields})


IN_SEGMENT = ("popularity_in_segment_28d", "no_history", {"popular_in_segment"})
OVERALL = ("popularity_28d", "no_history", {"popular"})


def test_a_newcomer_gets_what_the_segment_buys_and_all_positions_are_filled(shop: Service) -> None:
    answer = recommend(shop, user_id="ann")
    assert (said(answer), items(answer)) == (IN_SEGMENT, ["e", "a", "b", "c", "d"])
    weight, shares = 60 / 260, np.array([5, 4, 3, 2, 1]) / 15
    shares = weight * np.array([0, 0, 0, 0, 1]) + (1 - weight) * shares
    assert [line["score"] for line in answer.json["items"]] == pytest.approx(sorted(shares / shares.max(), reverse=True), abs=1e-6)


def test_who_is_in_no_known_segment_gets_what_is_popular_with_all(shop: Service) -> None:
    tell(shop, "bob", attributes={"tier": "silver"})
    for fields in ({}, {"user_id": "stranger"}, {"user_id": "bob"}, {"segments": ["tier=silver"]}):
        answer = recommend(shop, **fields)
        assert (said(answer), items(answer)) == (OVERALL, ["a", "b", "c", "d", "e"])


def test_a_request_may_say_the_segments_of_nobody_in_particular(shop: Service) -> None:
    for fields in ({}, {"user_id": "stranger"}):
        assert said(recommend(shop, segments=["nonsense", "tier=gold"], **fields)) == IN_SEGMENT


def test_a_history_that_the_release_cannot_read_is_none(shop: Service) -> None:
    buy(shop, "unheard-of", "ann")
    assert said(recommend(shop, user_id="ann")) == IN_SEGMENT


def test_who_has_a_history_is_served_from_it_and_nothing_more_is_read(shop: Service) -> None:
    read: list[str] = []
    buy(shop, "c", "ann")
    engine = shop.store._opened()
    sa.event.listen(engine, "before_cursor_execute", lambda *call: read.append(call[2]))
    assert said(recommend(shop, user_id="ann"))[:2] == ("fused", None)
    assert [statement for statement in read if "footfall_users" in statement] == []
    assert said(recommend(shop, user_id="buyer-new", segments=["tier=gold"])) == IN_SEGMENT
    assert len([statement for statement in read if "footfall_users" in statement]) == 1


def test_who_refused_to_be_personalised_gets_what_is_popular_with_all(shop: Service) -> None:
    tell(shop, "ann", consent={"personalise": False})
    answer = recommend(shop, user_id="ann", segments=["tier=gold"])
    assert said(answer) == ("popularity_28d", "no_consent", {"popular"})


@pytest.mark.parametrize("purpose", ["personalise", "analyse"])
def test_who_refused_is_not_counted(shop: Service, purpose: str) -> None:
    tell(shop, *BUYERS[:41], consent={purpose: False})
    shop.answering.segments.look()
    assert said(recommend(shop, user_id="ann")) == OVERALL


def test_the_erased_vanish_with_the_next_count(shop: Service) -> None:
    for user in BUYERS[:41]:
        assert ask(shop.app, "DELETE", f"/v1/users/{user}").status == 202
    assert said(recommend(shop, user_id="ann")) == IN_SEGMENT
    shop.answering.segments.look()
    assert said(recommend(shop, user_id="ann")) == OVERALL


def test_only_purchases_of_the_last_28_days_count(shop: Service) -> None:
    assert post_events(shop, bought("a", "eve", occurred_at=(NOON + timedelta(days=26)).isoformat())).json["accepted"] == 1
    shop.answering.segments.look()
    assert said(recommend(shop, user_id="ann")) == IN_SEGMENT
    assert post_events(shop, bought("a", "eve", occurred_at=(NOON + timedelta(days=28)).isoformat())).json["accepted"] == 1
    shop.answering.segments.look()
    assert said(recommend(shop, user_id="ann")) == OVERALL


def test_filters_exclusions_and_rules_hold(shop: Service) -> None:
    assert items(recommend(shop, user_id="ann", exclude=["e", "a"])) == ["b", "c", "d"]
    rules = [
        {"rule_id": "hide", "kind": "exclude", "items": ["e"], "segments": ["tier=gold"]},
        {"rule_id": "top", "kind": "pin", "items": ["d"], "position": 1},
    ]
    assert ask(shop.app, "PUT", "/v1/rules", {"rules": rules, "at": AT}).json["rejected"] == []
    shop.answering.shop_window.look()
    for fields in ({"user_id": "ann"}, {"segments": ["tier=gold"]}):
        answer = recommend(shop, **fields)
        assert (said(answer), items(answer), answer.json["rules_excluding"]) == (IN_SEGMENT, ["d", "a", "b", "c"], ["hide"])


def test_scores_are_those_of_the_slate(shop: Service) -> None:
    slate = {line["item_id"]: line["score"] for line in recommend(shop, user_id="ann").json["items"]}
    answer = true_to("ScoreAnswer", door(shop, "score", user_id="ann", item_ids=["e", "nonsense", "a"]))
    assert [one["score"] for one in answer["items"]] == [slate["e"], None, slate["a"]]
    assert answer["degraded"] == "no_history"


def test_the_home_page_of_a_newcomer_is_of_the_segment(shop: Service) -> None:
    page = true_to("HomeAnswer", door(shop, "home", user_id="ann", k=2))
    assert [[line["item_id"] for line in row["items"]] for row in page["rows"]] == [["e", "a"], ["b", "c"]]
    assert {(row["policy"], row["degraded"], line["reason"]) for row in page["rows"] for line in row["items"]} == {(*IN_SEGMENT[:2], *IN_SEGMENT[2])}


def test_what_was_shown_is_on_record_under_its_own_name(shop: Service) -> None:
    recommend(shop, user_id="ann", k=2)
    shop.written()
    rows = exposures.window(shop.engine, NOON, NOON + timedelta(1)).to_pylist()
    assert [(row["policy"], row["reason"]) for row in rows] == [("popularity_in_segment_28d", "popular_in_segment")] * 2
    assert 'footfall_positions_total{reason="popular_in_segment"' in shop.measures.page()[0].decode()


def test_a_release_that_fails_shows_what_the_segment_buys(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    buy(shop, "c", "ann")

    real = Recommender.parts

    def failing(self: Recommender, sequences: Sequences, *rest: Any) -> Parts:
        if len(sequences.item_index):
            raise RuntimeError("broken")
        return real(self, sequences, *rest)

    monkeypatch.setattr(Recommender, "parts", failing)
    answer = recommend(shop, user_id="ann")
    assert said(answer) == ("popularity_in_segment_28d", "model_failed", {"popular_in_segment"})


def test_scores_that_are_no_numbers_give_way_to_the_segment_and_wishes_still_hold(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    buy(shop, "e", "ann")
    scorer = shop.changeover.ranker._reader.scorer  # type: ignore[union-attr]
    monkeypatch.setattr(scorer, "_logits", np.full(5, np.nan))
    answer = recommend(shop, user_id="ann", exclude_bought=True)
    assert said(answer) == ("popularity_in_segment_28d", "scores_not_finite", {"popular_in_segment"})
    assert items(answer) == ["a", "b", "c", "d"]


def test_while_the_store_is_away_the_last_counts_serve_whom_the_request_places(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("live store cannot be reached or refused")

    monkeypatch.setattr(shop.store, "_opened", away)
    shop.answering.segments.look()
    placed = ("popularity_in_segment_28d", "history_unavailable", {"popular_in_segment"})
    assert said(recommend(shop, user_id="ann", segments=["tier=gold"])) == placed
    assert said(recommend(shop, user_id="ann")) == ("popularity_28d", "history_unavailable", {"popular"})
    assert said(recommend(shop, segments=["tier=gold"])) == IN_SEGMENT


def test_a_store_that_goes_away_after_the_history_was_read_is_no_failure(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreError("live store cannot be reached or refused")

    monkeypatch.setattr("bentos.slates.shoppers.shop_users.attributes", away)
    assert said(recommend(shop, user_id="ann")) == OVERALL


def test_another_release_has_its_own_counts_once_they_are_counted(shop: Service) -> None:
    shop.promote("b")
    shop.changeover.look()
    assert said(recommend(shop, user_id="ann")) == OVERALL
    shop.answering.segments.look()
    assert said(recommend(shop, user_id="ann")) == IN_SEGMENT


def test_what_is_drawn_has_its_chance_there_too(start: Callable[..., Service]) -> None:
    exploration = Exploration(0.5, first=1, pool=2)
    shop = sell(start(exploration=exploration))
    answer = recommend(shop, user_id="ann", k=3)
    drawn = explore(np.array([5, 1, 2, 3, 4]), np.zeros(5), 3, exploration, request_stream(answer.json["request_id"]))
    assert items(answer) == ["abcde"[item - 1] for item in drawn.items]
    assert [line["propensity"] for line in answer.json["items"]] == pytest.approx(drawn.propensities)
    assert said(answer) == IN_SEGMENT


def test_names_that_differ_with_each_user_do_not_crowd_out_a_segment(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MOST_WORDS", 10)
    monkeypatch.setattr(segments, "PAGE", 7)
    for user in BUYERS:
        tell(shop, user, attributes={**GOLD, "number": user, "note": "x" * 200})
    shop.answering.segments.look()
    assert said(recommend(shop, user_id="ann")) == IN_SEGMENT
    assert list(shop.answering.segments._known.rows) == ["tier=gold"]  # type: ignore[union-attr]


def test_a_running_service_counts_by_itself(service: Service) -> None:
    tell(service, *BUYERS, "ann")
    buy(service, "e", *BUYERS)
    assert said(recommend(service, user_id="ann")) == OVERALL
    service.answering.start()
    try:
        until = time.monotonic() + 30
        while said(recommend(service, user_id="ann")) != IN_SEGMENT:
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        service.answering.close()


def test_without_a_release_there_is_nothing_to_count(start: Callable[..., Service]) -> None:
    service = start(champion=None)
    service.answering.segments.look()
    assert service.answering.segments._known is None
