"""PUT /v1/items, users, relations, campaigns and DELETE /v1/users/{id}: what the shop tells reaches the store, without who it is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentos.routes.shop import CAMPAIGN, ITEM, RELATION, USER
from footfall.documents import ErasureCertificate
from footfall.pseudonyms import pseudonym
from footfall.store import consent, erasures, events, shop_campaigns, shop_items, shop_relations, shop_users
from tests.unit.bentos.asgi import Answer, ask
from tests.unit.bentos.conftest import KEY, Service
from tests.unit.bentos.test_answers_over_http import AT, NOON, bought, post_events, recommend, true_to
from tests.unit.bentos.test_fuzzed_requests import JSON
from tests.unit.bentos.test_openapi_is_true import validator

ANN, BOB = pseudonym("ann", KEY), pseudonym("bob", KEY)
MILK: dict[str, Any] = {"item_id": "a", "title": "Milk", "category_path": "food > dairy"}
FULL = MILK | {
    "description": "a litre",
    "brand": "Acme",
    "price_minor": 129,
    "currency": "EUR",
    "image": "http://169.254.169.254/latest",
    "attributes": {"fat": 1.5, "tags": ["cold", {"deep": None}]},
    "available_from": "2020-05-20T12:00:00Z",
    "available": False,
    "recommendable": True,
}
FRIENDS = {"user_id": "ann", "other_user_id": "bob", "kind": "friend", "since": AT}
SALE = {"campaign_id": "c", "kind": "sale", "starts": AT, "ends": "2020-05-21T12:00:00Z", "items": ["a", "b"]}
GOOD = {"items": MILK, "users": {"user_id": "ann"}, "relations": FRIENDS, "campaigns": SALE}


def put(service: Service, what: str, *rows: object) -> Answer:
    return ask(service.app, "PUT", f"/v1/{what}", {what: list(rows), "at": AT})


def told(service: Service, what: str, *rows: object) -> dict[str, Any]:
    found: dict[str, Any] = true_to("BatchAnswer", put(service, what, *rows))
    return found


def test_an_item_is_kept_as_it_was_told(service: Service) -> None:
    assert told(service, "items", FULL, {**MILK, "item_id": "b", "brand": None}) == {"accepted": 2, "rejected": []}

    full, short = shop_items.catalogue(service.engine).to_pylist()

    assert full == FULL | {"attributes": json.dumps(FULL["attributes"], sort_keys=True), "available_from": NOON}
    assert (short["attributes"], short["available"], short["recommendable"], short["brand"]) == ("{}", True, True, None)


def test_the_same_told_twice_changes_nothing(service: Service) -> None:
    for what, one in GOOD.items():
        assert told(service, what, one)["accepted"] == 1
    before = shop_items.revision(service.engine)
    for what, one in GOOD.items():
        assert told(service, what, one, one)["accepted"] == 2
    assert shop_items.revision(service.engine) == before


def test_the_good_ones_are_kept_beside_the_bad_ones(service: Service) -> None:
    answer = told(service, "items", {**MILK, "price_minor": -1}, MILK, "milk", {**MILK, "attributes": {"x": "\ud800"}})

    assert answer["accepted"] == 1
    assert [(row["index"], row["field"]) for row in answer["rejected"]] == [(0, "price_minor"), (2, "items"), (3, "attributes")]
    assert shop_items.count(service.engine) == 1


@pytest.mark.parametrize(
    ("what", "change", "field"),
    [
        ("items", {"title": None}, "title"),
        ("items", {"currency": "eur"}, "currency"),
        ("items", {"available": 1}, "available"),
        ("items", {"attributes": []}, "attributes"),
        ("items", {"attributes": {"x": "y" * 16_384}}, "attributes"),
        ("items", {"attributes": {"a": [[[[[[[[1]]]]]]]]}}, "attributes"),
        ("items", {"stock": 3}, "stock"),
        ("users", {"consent": {"personalise": "no"}}, "consent.personalise"),
        ("users", {"consent": {"sell": True}}, "consent.sell"),
        ("users", {"user_id": " ann"}, "user_id"),
        ("relations", {"other_user_id": "ann"}, "other_user_id"),
        ("relations", {"kind": "enemy"}, "kind"),
        ("campaigns", {"ends": AT}, "ends"),
        ("campaigns", {"items": ["a", ""]}, "items[1]"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field_and_nothing_is_kept(service: Service, what: str, change: dict[str, Any], field: str) -> None:
    answer = put(service, what, {**GOOD[what], **change})

    assert answer.status == 400
    assert [row["field"] for row in answer.json["rejected"]] == [field]
    assert shop_items.count(service.engine) == shop_users.count(service.engine) == shop_campaigns.everything(service.engine).num_rows == 0


@pytest.mark.parametrize("rows", [[], [MILK] * 1001, "a", None])
def test_a_batch_holds_one_to_a_thousand(service: Service, rows: object) -> None:
    assert ask(service.app, "PUT", "/v1/items", {"items": rows}).status == 400


def test_a_full_batch_is_taken(service: Service) -> None:
    assert told(service, "items", *[{**MILK, "item_id": f"i{number}"} for number in range(1000)])["accepted"] == 1000
    assert shop_items.count(service.engine) == 1000


def test_a_user_is_kept_by_pseudonym_without_what_names_them(service: Service, tmp_path: Path) -> None:
    user = {"user_id": "ann", "attributes": {"tier": "gold", "e_mail": "ann@example.com", "note": "call +31 20 1234567"}, "first_seen_at": AT}
    assert told(service, "users", user) == {"accepted": 1, "rejected": []}

    assert shop_users.attributes(service.engine, ANN) == {"tier": "gold", "note": "call [phone]"}
    assert shop_users.attributes(service.engine, "ann") == {}
    files = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert ANN.encode() in files
    assert b"example.com" not in files


def test_a_no_to_personalising_is_obeyed_by_the_next_slate(service: Service) -> None:
    post_events(service, bought("c"))
    assert recommend(service, user_id="ann").json["degraded"] is None

    told(service, "users", {"user_id": "ann", "consent": {"personalise": False}})

    assert recommend(service, user_id="ann").json["degraded"] == "no_consent"
    assert [(word.purpose, word.granted, word.recorded_at, word.source) for word in consent.words(service.engine, ANN)] == [
        ("personalise", False, NOON, "http")
    ]


def test_what_is_not_said_of_a_user_stays(service: Service) -> None:
    told(service, "users", {"user_id": "ann", "attributes": {"tier": "gold"}, "consent": {"advertise": False}})
    told(service, "users", {"user_id": "ann", "consent": {"personalise": True}}, {"user_id": "ann"})

    assert shop_users.attributes(service.engine, ANN) == {"tier": "gold"}
    assert [(word.purpose, word.granted) for word in consent.words(service.engine, ANN)] == [("advertise", False), ("personalise", True)]


def test_relations_are_known_from_both_sides_by_pseudonym(service: Service) -> None:
    assert told(service, "relations", FRIENDS) == {"accepted": 1, "rejected": []}

    for one, other in ((ANN, BOB), (BOB, ANN)):
        assert shop_relations.of(service.engine, one).to_pylist() == [{"user_id": one, "other_user_id": other, "kind": "friend", "since": NOON}]


def test_a_campaign_is_kept_with_its_items(service: Service) -> None:
    assert told(service, "campaigns", SALE) == {"accepted": 1, "rejected": []}
    (kept,) = shop_campaigns.running(service.engine, NOON).to_pylist()
    assert (kept["campaign_id"], json.loads(kept["items"])) == ("c", ["a", "b"])


def test_an_erased_user_is_gone_from_the_next_answer_and_on_record_for_the_files(service: Service) -> None:
    post_events(service, bought("c"), bought("d", user="bob"))
    told(service, "users", {"user_id": "ann", "attributes": {"tier": "gold"}, "consent": {"advertise": True}})
    told(service, "relations", FRIENDS)
    recommend(service, user_id="ann")
    service.written()

    asked = ask(service.app, "DELETE", "/v1/users/ann")

    assert asked.status == 202
    answer = true_to("Erasure", asked)
    (record,) = erasures.unfinished(service.engine)
    assert (record.erasure_id, record.requested_at.isoformat()) == (answer["erasure_id"], answer["requested_at"])
    certificate = ErasureCertificate.from_json(str(record.certificate))
    assert {place["place"]: place["rows"] for place in certificate.places} == {
        "store events": 1,
        "store exposures": 5,
        "store consents": 1,
        "store withdrawals": 0,
        "store users": 1,
        "store relations": 2,
    }
    assert recommend(service, user_id="ann").json["degraded"] == "no_history"
    assert not any(erasures.left(service.engine, erasures.subject_of(ANN), datetime.now(UTC)).values())
    assert events.count(service.engine) == 1


def test_erasing_again_goes_on_with_the_same_erasure_and_a_stranger_is_erased_too(service: Service) -> None:
    first, second = (ask(service.app, "DELETE", "/v1/users/ann").json["erasure_id"] for _ in range(2))
    assert first == second
    assert ask(service.app, "DELETE", "/v1/users/stranger").status == 202
    assert ask(service.app, "DELETE", f"/v1/users/{'x' * 129}").status == 400
    assert ask(service.app, "DELETE", "/v1/users").status == 405


def test_a_store_that_is_away_keeps_nothing_and_says_come_again(start: Callable[..., Service]) -> None:
    service = start(url="postgresql://nobody@127.0.0.1:1/none")
    for what, one in GOOD.items():
        assert put(service, what, one).status == 503
    assert ask(service.app, "DELETE", "/v1/users/ann").status == 503


CHANGES: list[tuple[str, dict[str, Any], bool]] = [
    ("Item", FULL, True), ("Item", MILK | {"brand": None, "available": None}, True), ("Item", MILK | {"price_minor": 1.5}, False),
    ("Item", MILK | {"title": ""}, False), ("Item", MILK | {"available": "yes"}, False), ("Item", {"item_id": "a"}, False),
    ("User", {"user_id": "ann", "consent": {"analyse": None}, "attributes": None}, True), ("User", {"user_id": "ann", "consent": []}, False),
    ("User", {"user_id": "ann", "tier": "gold"}, False), ("Relation", FRIENDS, True), ("Relation", FRIENDS | {"kind": "boss"}, False),
    ("Campaign", SALE, True), ("Campaign", SALE | {"items": "a"}, False), ("Campaign", SALE | {"kind": None}, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "fits"), CHANGES)
def test_what_is_told_fits_exactly_when_the_document_says_so(name: str, value: dict[str, Any], fits: bool) -> None:
    record = {"Item": ITEM, "User": USER, "Relation": RELATION, "Campaign": CAMPAIGN}[name]
    assert validator(name).is_valid(value) == fits
    if fits:
        record.read(value)
    else:
        with pytest.raises(Exception, match=r"."):
            record.read(value)


FIELDS = {what: sorted(record.fields) for what, record in (("items", ITEM), ("users", USER), ("relations", RELATION), ("campaigns", CAMPAIGN))}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.sampled_from(sorted(FIELDS)), st.data())
def test_nothing_that_is_told_makes_the_service_fail(service: Service, what: str, data: st.DataObject) -> None:
    change = data.draw(st.dictionaries(st.sampled_from(FIELDS[what]), JSON, max_size=4) | JSON)
    rows = [GOOD[what], {**GOOD[what], **change} if isinstance(change, dict) else change]
    answer = ask(service.app, "PUT", f"/v1/{what}", json.dumps({what: rows}).encode("utf-8", "surrogatepass"))
    assert answer.status == 200
    assert answer.json["accepted"] + len(answer.json["rejected"]) == 2
    assert 0 not in [row["index"] for row in answer.json["rejected"]]
