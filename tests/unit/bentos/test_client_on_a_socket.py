"""`footfall.client` against the real application on a real socket, and against the table that the application is made of."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from bentos.routes.slates import FILTERS
from bentos.routes.table import ENDPOINTS
from bentos.web.endpoints import Endpoint
from bentos.web.openapi import document
from footfall.client import CALLS, Client, ClientError, Filters, Rule
from footfall.client import answers as kinds
from footfall.pseudonyms import pseudonym
from footfall.store import consent, events, exposures, shop_campaigns, shop_items, shop_relations, shop_users
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import KEY, Service
from tests.unit.bentos.listening import listening
from tests.unit.bentos.test_answers_over_http import AT, NOON, bought
from tests.unit.bentos.test_shop_doors import FRIENDS, MILK, SALE

ANSWERS = {
    "RecommendAnswer": kinds.Slate, "ItemSlate": kinds.ItemSlate, "Line": kinds.Line, "ScoreAnswer": kinds.Scores, "HomeAnswer": kinds.Page,
    "EventsAnswer": kinds.Stored, "BatchAnswer": kinds.Taken, "Erasure": kinds.Erasure, "Rules": kinds.Rules, "Rule": Rule,
    "RuleChanges": kinds.RuleChanges, "RuleRemoved": kinds.Removed, "Release": kinds.Release,
}  # fmt: skip
RIGHT = "r" * 16


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with listening(service.app) as url, Client(url) as client:
        yield client


def test_every_endpoint_has_a_method_and_every_method_an_endpoint() -> None:
    assert sorted(CALLS.values()) == sorted((endpoint.method, endpoint.path) for endpoint in ENDPOINTS)
    public = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert public == {*CALLS, "close"}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_what_an_endpoint_takes_its_method_takes(endpoint: Endpoint) -> None:
    name = next(name for name, call in CALLS.items() if call == (endpoint.method, endpoint.path))
    taken = set(inspect.signature(getattr(Client, name)).parameters) - {"self"}
    body = {} if endpoint.body is None else endpoint.body.schema(replay_clock=True)["properties"]
    assert taken == {*body, *endpoint.parameters}


def test_filters_are_those_of_the_document() -> None:
    assert {field.name for field in dataclasses.fields(Filters)} == set(FILTERS.fields)


@pytest.mark.parametrize(("title", "kind"), ANSWERS.items())
def test_what_an_answer_needs_the_document_promises(title: str, kind: type) -> None:
    schema = document()["components"]["schemas"][title]
    needed = {field.name for field in dataclasses.fields(kind) if field.default is field.default_factory is dataclasses.MISSING}
    assert needed <= set(schema["required"])


def test_a_slate_is_what_the_application_answers(client: Client, service: Service) -> None:
    assert client.send_events([bought("c"), bought("e")]) == kinds.Stored(2, 0, ())
    slate = client.recommend("ann", k=3, place="home", at=NOON)
    assert slate.because == ()
    plain = ask(service.app, "POST", "/v1/recommend", {"user_id": "ann", "k": 3, "place": "home", "at": AT}).json
    assert dataclasses.asdict(slate) | {"items": [dataclasses.asdict(line) | {"rules": []} for line in slate.items], "rules_excluding": []} == {
        **plain,
        "request_id": slate.request_id,
        "because": (),
    }
    service.written()
    shown = exposures.window(service.engine, NOON, NOON + timedelta(1)).to_pylist()
    assert {row["user_id"] for row in shown} == {pseudonym("ann", KEY)}
    assert slate.request_id in {row["request_id"] for row in shown}


def test_a_slate_says_why_when_asked(client: Client) -> None:
    client.send_events([bought("c")])
    because = client.recommend("ann", k=1, explain=True, at=AT).because
    assert [(one.item_id, [event.item_id for event in one.events]) for one in because] == [("c", ["c"])]
    assert because[0].events[0].occurred_at.tzinfo is not None


def test_wishes_reach_the_service(client: Client) -> None:
    client.put_items([{**MILK, "item_id": item, "price_minor": price} for item, price in zip("abcde", (1, 2, 3, 4, 5), strict=True)])
    slate = client.recommend(exclude=("a",), filters=Filters(price_to=3), diversity=0.5, context_item_id="e", at=AT)
    assert {line.item_id for line in slate.items} == {"b", "c"}
    assert [line.item_id for line in client.recommend(events=[{"item_id": "d", "event_type": "purchase"}], k=1).items] == ["d"]


def test_a_client_may_say_the_segments(client: Client, service: Service) -> None:
    golden = [f"golden {number}" for number in range(60)]
    client.put_users({"user_id": user, "attributes": {"tier": "gold"}} for user in golden)
    client.send_events(bought("e", user) for user in golden)
    service.answering.segments.look()
    slate, page = client.recommend(segments=["tier=gold"], at=AT), client.home(segments=["tier=gold"], k=2, at=AT)
    assert [(found.policy, found.items[0].item_id) for found in (slate, page.rows[0])] == [("popularity_in_segment_28d", "e")] * 2
    assert client.score(["e"], segments=["tier=gold"], at=AT).items[0].score == slate.items[0].score


def test_slates_of_items_scores_and_a_page_come_typed(client: Client) -> None:
    client.send_events([bought("c")])
    similar, basket = client.similar("a", k=2), client.complementary(["a", "b"], k=2)
    assert [len(one.items) for one in (similar, basket)] == [2, 2]
    assert not {"a", "b"} & {line.item_id for line in basket.items}
    scores = client.score(["c", "nonsense"], "ann", at=AT)
    assert scores.items[0].score is not None
    assert (scores.items[1], scores.degraded) == (kinds.ScoredItem("nonsense", None), None)
    page = client.home("ann", k=2, rows=2, at=AT)
    assert 1 <= len(page.rows) <= 2
    assert all(len(row.items) <= 2 and len(row.request_id) == 32 for row in page.rows)
    assert client.release().release == page.release == similar.release
    assert client.document() == document(replay_clock=True)


def test_a_long_list_is_sent_in_parts_and_a_bad_row_keeps_its_number(client: Client, service: Service) -> None:
    rows = [bought("c", event_id=f"e{number}") for number in range(2500)]
    rows[1700] = {**rows[1700], "event_type": "theft"}
    done = client.send_events(iter([*rows, rows[0]]))
    assert (done.accepted, done.duplicates, [(one.index, one.field) for one in done.rejected]) == (2499, 1, [(1700, "event_type")])
    assert events.count(service.engine) == 2499


def test_a_list_too_large_for_one_body_is_sent_in_parts(client: Client, service: Service) -> None:
    done = client.send_events([bought("c", event_id=f"e{number}", text="x" * 9_900) for number in range(300)])
    assert (done.accepted, done.rejected) == (300, ())


def test_an_empty_list_asks_nothing(client: Client) -> None:
    assert client.put_items([]) == kinds.Taken(0, ())


def test_what_the_shop_tells_reaches_the_store(client: Client, service: Service) -> None:
    assert client.put_items([MILK]).accepted == 1
    assert client.put_users([{"user_id": "ann", "attributes": {"tier": "gold"}, "consent": {"advertise": False}}]).accepted == 1
    assert client.put_relations([FRIENDS | {"since": NOON}]).accepted == 1
    assert client.put_campaigns([SALE]).accepted == 1
    ann = pseudonym("ann", KEY)
    assert shop_items.count(service.engine) == shop_campaigns.everything(service.engine).num_rows == 1
    assert shop_users.attributes(service.engine, ann) == {"tier": "gold"}
    assert not consent.granted(service.engine, ann, "advertise")
    assert shop_relations.of(service.engine, ann).to_pylist()[0]["since"] == NOON


def test_where_nothing_fits_each_row_says_why(client: Client) -> None:
    done = client.put_items([{**MILK, "price_minor": -1}])
    assert (done.accepted, [(one.index, one.field) for one in done.rejected]) == (0, [(0, "price_minor")])


def test_an_erased_user_is_a_stranger(client: Client) -> None:
    client.send_events([bought("c", user="ann & bob")])
    assert client.recommend("ann & bob", at=AT).degraded is None
    assert client.erase_user("ann & bob").requested_at.tzinfo is not None
    assert client.recommend("ann & bob", at=AT).degraded == "no_history"


def test_rules_are_put_listed_and_taken_away(client: Client) -> None:
    hide = Rule("hide it/all", "exclude", items=["a"], places=["home"], note="spring")
    assert client.put_rules([hide, Rule("up", "boost", brands=["Acme"], factor=2.0)]).accepted == 2
    assert client.rules() == [hide, Rule("up", "boost", brands=["Acme"], factor=2.0)]
    assert client.recommend(place="home").rules_excluding == ("hide it/all",)
    assert [client.remove_rule("up"), client.remove_rule("up")] == [True, False]
    newest = client.rule_changes()[0]
    assert (newest.rule_id, newest.after, newest.before) == ("up", None, Rule("up", "boost", brands=["Acme"], factor=2.0))


def test_a_refusal_says_what_the_service_says(client: Client) -> None:
    with pytest.raises(ClientError) as refused:
        client.recommend("ann", k=0)
    error = refused.value
    assert (error.status, error.error, error.where, error.expected) == (400, "invalid", "k", "an integer from 1 to 100")
    assert (error.what, error.found, error.next_step) == ("the request does not fit", "0", "see /v1/openapi.json")
    assert error.as_dict()["status"] == 400


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_the_right_key_nothing_is_answered_and_the_key_is_not_said(start: Callable[..., Service], key: str | None) -> None:
    service = start(api_keys=(RIGHT,))
    with listening(service.app) as url:
        with Client(url, key) as client, pytest.raises(ClientError) as refused:
            client.erase_user("ann")
        with Client(url, RIGHT) as client:
            assert client.rules() == []
    assert refused.value.status == 401
    assert "wrong" not in str(refused.value)
    assert "ann" not in str(refused.value)


def test_a_service_that_is_not_ready_says_when_to_come_again(start: Callable[..., Service]) -> None:
    with listening(start(champion=None).app) as url, Client(url) as client, pytest.raises(ClientError) as refused:
        client.recommend("ann")
    assert (refused.value.status, refused.value.error, refused.value.retry_after_s) == (503, "unavailable", 1.0)


def test_a_service_that_was_started_again_is_asked_again(service: Service) -> None:
    with listening(service.app) as url:
        client = Client(url)
        first = client.recommend("ann", at=AT)
    with pytest.raises(ClientError, match="no answer") as gone:
        client.recommend("ann", at=AT)
    assert gone.value.status is None
    with listening(service.app, int(url.rpartition(":")[2])):
        again: Any = client.recommend("ann", at=AT)
        client.close()
    assert (again.items, again.request_id == first.request_id) == (first.items, False)
