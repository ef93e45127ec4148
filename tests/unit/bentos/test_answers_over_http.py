from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from bentos.web.openapi import document
from footfall.contracts import USERS, C
from footfall.errors import StoreError
from footfall.pseudonyms import pseudonym
from footfall.recommender import Recommender
from footfall.store import consent, events, exposures
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import KEY, Service
from tests.unit.footfall.small_shop import make_bundle_by_hand

import pyarrow as pa  # isort: skip

AT = "2020-05-20T12:00:00+00:00"
NOON = datetime(2020, 5, 20, 12, tzinfo=UTC)


def bought(item: str, user: str = "ann", **fields: Any) -> dict[str, Any]:
    return {"user_id": user, "event_type": "purchase", "item_id": item, "occurred_at": "2020-05-19T12:00:00Z", **fields}


def recommend(service: Service, **fields: Any) -> Answer:
    return ask(service.app, "POST", "/v1/recommend", {"at": AT, **fields})


def post_events(service: Service, *rows: object) -> Answer:
    return ask(service.app, "POST", "/v1/events", {"events": list(rows)})


def true_to(name: str, answer: Answer) -> Any:
    """The answer's JSON, once it is what the OpenAPI document says."""
    page = document(replay_clock=True)
    Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": page["components"]}).validate(answer.json)
    return answer.json


def items(answer: Answer) -> list[str]:
    return [line["item_id"] for line in answer.json["items"]]


def test_what_a_user_bought_changes_the_next_slate(service: Service) -> None:
    before = true_to("RecommendAnswer", recommend(service, user_id="ann", k=3))
    assert (before["degraded"], [line["item_id"] for line in before["items"]]) == ("no_history", ["a", "b", "c"])
    assert true_to("EventsAnswer", post_events(service, bought("c"), bought("e"))) == {"accepted": 2, "duplicates": 0, "rejected": []}
    after = true_to("RecommendAnswer", recommend(service, user_id="ann", k=3))
    assert after["degraded"] is None
    assert after["items"][0]["item_id"] in {"c", "e"}
    assert after["items"][0]["reason"] == "bought_before"
    assert after["release"] == service.changeover.ranker.release_id  # type: ignore[union-attr]


def test_only_what_happened_before_the_moment_is_read(service: Service) -> None:
    post_events(service, bought("c", occurred_at=AT), bought("d", occurred_at="2020-05-20T14:00:00+02:00"))
    assert recommend(service, user_id="ann").json["degraded"] == "no_history"
    assert recommend(service, user_id="ann", at="2020-05-20T12:00:01Z").json["degraded"] is None


def test_an_unknown_user_and_nobody_get_a_labelled_popularity_slate(service: Service) -> None:
    for fields in ({"user_id": "stranger"}, {}, {"user_id": None}):
        answer = true_to("RecommendAnswer", recommend(service, **fields))
        assert (answer["degraded"], [line["item_id"] for line in answer["items"]]) == ("no_history", ["a", "b", "c", "d", "e"])


def test_events_of_this_session_are_read_with_the_request(service: Service) -> None:
    answer = recommend(service, events=[{"item_id": "d", "event_type": "purchase"}, {"event_type": "search"}])
    assert (items(answer)[0], answer.json["degraded"]) == ("d", None)


def test_excluded_items_are_not_shown_and_unknown_ones_are_no_trouble(service: Service) -> None:
    assert items(recommend(service, k=2, exclude=["a", "nonsense"])) == ["b", "c"]


def test_raw_user_ids_never_reach_the_store(service: Service) -> None:
    post_events(service, bought("c"))
    recommend(service, user_id="ann")
    service.written()
    rows = events.window(service.engine, NOON - timedelta(7), NOON)
    shown = exposures.window(service.engine, NOON, NOON + timedelta(1))
    assert set(rows.column(C.USER_ID).to_pylist()) | set(shown.column(C.USER_ID).to_pylist()) == {pseudonym("ann", KEY)}
    assert set(rows.column(C.ORIGIN).to_pylist()) == {"http"}
    assert abs(rows.column(C.RECEIVED_AT).to_pylist()[0] - datetime.now(UTC)) < timedelta(minutes=5)


def test_identifiers_in_what_people_write_are_masked_before_the_store_sees_them(service: Service) -> None:
    words = {"query": "tea to anna@example.com", "text": "my name is Anna Smith", "place": "10.1.2.3", "device": "till 7"}
    post_events(service, bought("a", **words))
    (row,) = events.window(service.engine, NOON - timedelta(days=9), NOON + timedelta(days=1)).to_pylist()
    assert {name: row[name] for name in words} == {
        "query": "tea to [e-mail]",
        "text": "my name is [name]",
        "place": "[ip]",
        "device": "till 7",
    }


def test_what_nobody_in_particular_is_shown_is_not_kept(service: Service) -> None:
    recommend(service, k=2)
    recommend(service, events=[{"event_type": "view", "item_id": "a"}])
    service.written()
    assert exposures.count_slates(service.engine) == 0


def test_every_slate_of_a_user_is_an_exposure(service: Service) -> None:
    answers = [recommend(service, user_id="ann", k=3).json, recommend(service, user_id="bob", k=2).json]
    service.written()
    shown = exposures.window(service.engine, NOON, NOON + timedelta(seconds=1))
    for answer in answers:
        rows = [row for row in shown.to_pylist() if row[C.REQUEST_ID] == answer["request_id"]]
        names = (C.POSITION, C.ITEM_ID, C.SCORE, C.PROPENSITY, C.REASON)
        assert [[row[name] for name in names] for row in rows] == [[line[name] for name in names] for line in answer["items"]]
        assert {(row[C.RELEASE], row[C.ARM], row[C.PROPENSITY], row[C.POLICY]) for row in rows} == {
            (answer["release"], "champion", 1.0, "popularity_28d")
        }
    assert exposures.count_slates(service.engine) == 2


def test_the_same_event_sent_twice_is_stored_once(service: Service) -> None:
    assert post_events(service, bought("c")).json["accepted"] == 1
    assert post_events(service, bought("c"), bought("d"), bought("d")).json == {"accepted": 1, "duplicates": 2, "rejected": []}
    assert post_events(service, bought("c", event_id="own")).json["accepted"] == 1
    assert post_events(service, bought("e", event_id="own")).json["duplicates"] == 1


def test_good_events_are_kept_and_bad_ones_are_named(service: Service) -> None:
    rows = [bought("a"), {"user_id": "ann"}, "nonsense", bought("b", quantity="many"), bought("c", event_type="theft"), bought("d", colour="red")]
    answer = post_events(service, *rows, bought("e", occurred_at="yesterday"))
    assert answer.status == 200
    assert true_to("EventsAnswer", answer)["accepted"] == 1
    named = [(row["index"], row["field"]) for row in answer.json["rejected"]]
    assert named == [(1, "event_type"), (2, "event"), (3, "quantity"), (4, "event_type"), (5, "colour"), (6, "occurred_at")]


def test_a_request_without_one_valid_event_is_refused(service: Service) -> None:
    answer = post_events(service, {"user_id": "ann"})
    assert (answer.status, true_to("EventsAnswer", answer)["accepted"]) == (400, 0)


def test_nothing_of_a_user_is_repeated_in_a_refusal(service: Service) -> None:
    secret = "ann@example.org"
    for answer in (
        post_events(service, bought("c", user_id=secret * 20)),
        post_events(service, {"user_id": secret, "event_type": secret, "occurred_at": secret}),
        recommend(service, user_id=[secret]),
        ask(service.app, "POST", "/v1/recommend", {secret: 1}),
        ask(service.app, "POST", "/v1/recommend", secret.encode()),
    ):
        assert answer.status == 400
        assert secret not in answer.body.decode()


BAD_SLATE_REQUESTS = [
    {"k": 0}, {"k": 101}, {"k": "10"}, {"k": True}, {"k": 1.5}, {"user_id": ""}, {"user_id": 5}, {"user_id": "x" * 129}, {"user_id": "nul\x00"},
    {"user_id": "\ud800"}, {"user_id": " ann"}, {"exclude": "a"}, {"exclude": ["a"] * 1001}, {"exclude": [None]}, {"events": [{}]}, {"events": {}},
    {"events": [{"event_type": "view"}] * 201}, {"at": "now"}, {"at": "2020-05-20T12:00:00"}, {"at": 5}, {"at": "0001-01-01T00:00:00+14:00"},
    {"at": "9999-12-31T23:59:59-14:00"}, {"place": 5}, {"context_item_id": []}, {"nonsense": 1}, {"": 1},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_SLATE_REQUESTS)
def test_a_slate_request_that_does_not_fit_is_refused_with_the_reason(service: Service, fields: dict[str, Any]) -> None:
    answer = recommend(service, **fields)
    assert answer.status == 400
    problem = true_to("Problem", answer)
    assert problem["where"]
    assert problem["expected"]
    assert problem["found"]


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b'{"k": NaN}', b'{"k": 1e999}', b"[" * 50_000, b'{"k":' + b"9" * 9000 + b"}"],
)
def test_a_body_that_is_no_json_object_is_refused(service: Service, body: bytes) -> None:
    for path in ("/v1/recommend", "/v1/events"):
        answer = ask(service.app, "POST", path, body)
        assert answer.status == 400
        true_to("Problem", answer)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-pickle", "application/vnd.bentoml+pickle", "", "application/json; charset=utf-16"]
)
def test_anything_but_json_is_refused(service: Service, content_type: str) -> None:
    answer = ask(service.app, "POST", "/v1/recommend", b"{}", content_type=content_type)
    assert answer.status == 415
    assert ask(service.app, "POST", "/v1/recommend", b"{}", content_type='application/json; charset="UTF-8"').status == 200


def test_a_large_body_is_refused_before_it_is_read(service: Service) -> None:
    stated = ask(service.app, "POST", "/v1/events", b"{}", content_length=str(11 << 20))
    unstated = ask(service.app, "POST", "/v1/events", [b"x" * (1 << 18)] * 5)
    assert (stated.status, unstated.status) == (413, 413)
    true_to("Problem", unstated)


def test_a_service_for_now_does_not_take_a_moment(start: Callable[..., Service]) -> None:
    service = start(replay_clock=False)
    assert recommend(service).json["where"] == "at"
    assert ask(service.app, "POST", "/v1/recommend", {}).status == 200
    refused = ask(service.app, "POST", "/v1/events", {"events": [bought("a")], "at": AT})
    assert (refused.status, refused.json["where"]) == (400, "at")


def test_a_replay_says_when_its_events_are_received(service: Service) -> None:
    assert ask(service.app, "POST", "/v1/events", {"events": [bought("a")], "at": AT}).json["accepted"] == 1
    assert events.window(service.engine, NOON - timedelta(7), NOON).column(C.RECEIVED_AT).to_pylist() == [NOON]
    assert ask(service.app, "POST", "/v1/events", {"events": [bought("a")], "at": "noon"}).json["where"] == "at"


def test_of_two_events_with_one_id_the_first_is_kept(service: Service) -> None:
    assert post_events(service, bought("c", event_id="own"), bought("d", event_id="own")).json == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert post_events(service, bought("e", event_id="own", user="bob")).json["duplicates"] == 1
    assert events.window(service.engine, NOON - timedelta(7), NOON).column(C.ITEM_ID).to_pylist() == ["c"]


def test_a_request_takes_a_thousand_events_and_no_more(service: Service) -> None:
    rows = [bought("c", event_id=f"e{number}") for number in range(1001)]
    assert post_events(service, *rows[:1000]).json == {"accepted": 1000, "duplicates": 0, "rejected": []}
    refused = post_events(service, *rows)
    assert (refused.status, refused.json["expected"]) == (400, "a list of 1 to 1000")
    assert events.count(service.engine) == 1000


def test_events_from_the_future_are_rejected(service: Service) -> None:
    ahead = [(datetime.now(UTC) + timedelta(hours=hours)).isoformat() for hours in (47, 49)]
    answer = post_events(service, *[bought("a", occurred_at=moment) for moment in ahead])
    assert [row["index"] for row in answer.json["rejected"]] == [1]


def test_while_the_store_is_away_slates_are_degraded_and_events_are_refused(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    post_events(service, bought("c"))

    def away(*_: object, **__: object) -> None:
        raise StoreError("gone", found="test")

    monkeypatch.setattr("bentos.slates.shoppers.read_user", away)
    monkeypatch.setattr("bentos.live.writer.write_together", away)
    answer = true_to("RecommendAnswer", recommend(service, user_id="ann"))
    assert (answer["degraded"], answer["items"][0]["item_id"]) == ("history_unavailable", "a")
    refused = post_events(service, bought("d"))
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    true_to("Problem", refused)
    assert true_to("Release", ask(service.app, "GET", "/v1/release"))["store"] == "away"
    monkeypatch.undo()
    service.writer.close()  # what could not be written then is written now
    assert exposures.count_slates(service.engine) == 1


def test_without_a_store_at_the_start_the_release_of_the_bento_serves(start: Callable[..., Service]) -> None:
    service = start(url="postgresql://nobody@127.0.0.1:1/none", built_with="a")
    answer = recommend(service, user_id="ann")
    assert (answer.status, answer.json["degraded"]) == (200, "history_unavailable")


def test_before_a_first_release_the_service_asks_to_come_again(start: Callable[..., Service]) -> None:
    service = start(champion=None)
    answer = recommend(service)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_a_model_that_fails_on_a_request_does_not_fail_the_request(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Recommender.recommend

    def failing(self: Recommender, *args: Any, **rest: Any) -> Any:
        if args[-1] == "fused":
            raise RuntimeError("out of order")
        return real(self, *args, **rest)

    monkeypatch.setattr(Recommender, "recommend", failing)
    answer = true_to("RecommendAnswer", recommend(service, events=[{"item_id": "d", "event_type": "purchase"}]))
    assert (answer["degraded"], answer["items"][0]["item_id"]) == ("model_failed", "a")


BESIDE: dict[str, dict[str, Any]] = {"similar": {"item_id": "d"}, "complementary": {"item_ids": ["d"]}}


@pytest.mark.parametrize("error", [RuntimeError, KeyError, TypeError, AttributeError, MemoryError, AssertionError])
def test_a_release_that_always_fails_leaves_no_page_blank(service: Service, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def failing(*_: Any) -> Any:
        raise error("out of order")

    monkeypatch.setattr(service.changeover.ranker._reader.scorer, "scores", failing)  # type: ignore[union-attr]
    for name in ("similar", "complementary"):
        monkeypatch.setattr(Recommender, name, failing)
    asked = {"user_id": "ann", "events": [{"item_id": "d", "event_type": "purchase", "occurred_at": "2020-05-01T00:00:00Z"}], "at": AT}
    slate = true_to("RecommendAnswer", ask(service.app, "POST", "/v1/recommend", asked | {"explain": True}))
    page = true_to("HomeAnswer", ask(service.app, "POST", "/v1/home", asked))
    scores = true_to("ScoreAnswer", ask(service.app, "POST", "/v1/score", asked | {"item_ids": ["a", "b"]}))
    beside = [true_to("ItemSlate", ask(service.app, "POST", f"/v1/{name}", body | {"at": AT})) for name, body in BESIDE.items()]
    assert {answer["degraded"] for answer in (slate, page, scores, *beside)} == {"model_failed"}
    assert (slate["items"][0]["item_id"], page["rows"][0]["kind"], page["rows"][0]["items"][0]["item_id"]) == ("a", "popular", "a")
    assert [answer["items"][0]["item_id"] for answer in beside] == ["a", "a"]
    assert (slate["because"], [one["probability"] for one in scores["items"]]) == ([], [None, None])
    assert scores["items"][0]["score"] > scores["items"][1]["score"] > 0


def test_an_explanation_that_fails_leaves_the_slate_as_it_is(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise KeyError("out of order")

    plain = recommend(service, events=[{"item_id": "d", "event_type": "purchase"}]).json
    monkeypatch.setattr(Recommender, "explain", failing)
    answer = true_to("RecommendAnswer", recommend(service, events=[{"item_id": "d", "event_type": "purchase"}], explain=True))
    assert (answer["degraded"], answer["because"], answer["items"]) == (None, [], plain["items"])


def test_a_user_who_refused_personal_service_gets_the_popular_items(service: Service) -> None:
    post_events(service, bought("c"))
    said = {"user_id": [pseudonym("ann", KEY)], "attributes": ["{}"], "consent": [json.dumps({"personalise": False})], "first_seen_at": [NOON]}
    consent.record(service.engine, USERS.check(pa.table(said)))
    answer = true_to("RecommendAnswer", recommend(service, user_id="ann"))
    assert (answer["degraded"], answer["items"][0]["item_id"]) == ("no_consent", "a")


def test_metrics_count_by_release_and_name_no_user(service: Service) -> None:
    recommend(service, user_id="ann")
    post_events(service, bought("c"), {"user_id": "ann"})
    ask(service.app, "GET", "/v1/../../etc/passwd")
    page = ask(service.app, "GET", "/metrics").body.decode()
    release = service.changeover.ranker.release_id  # type: ignore[union-attr]
    assert f'footfall_slates_total{{arm="champion",degraded="no_history",release="{release}"}} 1.0' in page
    assert 'footfall_events_total{outcome="rejected"} 1.0' in page
    assert f'footfall_release{{release="{release}"}} 1.0' in page
    assert "ann" not in page
    assert "passwd" not in page
    assert pseudonym("ann", KEY) not in page


def test_a_search_of_this_session_or_of_an_earlier_one_is_read_by_a_model_that_knows_it(service: Service) -> None:
    make_bundle_by_hand(service.bundles / "s", logits=np.array([0.0, 0.0, 0.0, 3.0, 0.0]), queries=("tea", "tea for [e-mail]"))
    service.promote("s")
    service.changeover.look()
    for typed, degraded in (("Tea", None), ("tea for ann@example.org", None), ("coffee", "no_history")):
        answer = recommend(service, events=[{"event_type": "search", "query": typed}, {"event_type": "view", "item_id": "x", "duration_s": 3}])
        assert answer.json["degraded"] == degraded
    post_events(service, bought("x", event_type="search", query=" TEA "))
    assert recommend(service, user_id="ann").json["degraded"] is None
    assert recommend(service, events=[{"event_type": "search", "query": 5}]).status == 400
