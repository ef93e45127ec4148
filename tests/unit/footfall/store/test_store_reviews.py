from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from footfall.contracts import USERS
from footfall.documents import Review
from footfall.errors import ContractError, StoreError
from footfall.store import Engine, consent, reviews
from footfall.store.consent import Word
from footfall.store.events import append
from footfall.store.serving import read_user
from footfall.store.tables import consents
from tests.unit.footfall.store.store_rows import NOON, event, events_table

import pyarrow as pa  # isort: skip


def review(name: str, created_at: str = "2017-11-26T00:00:00+00:00") -> Review:
    return Review(
        name, created_at, "r1", ["2017-10-01", "2017-10-29"], ["2017-10-29", "2017-11-26"], "drift", ["more ☕"], [{"name": "x"}], None, None
    )


def test_reviews_are_kept_listed_and_decided(engine: Engine) -> None:
    reviews.add(engine, review("b", "2017-12-26T00:00:00+00:00"))
    assert reviews.add(engine, review("a")) == review("a") == reviews.get(engine, "a")
    assert [one.review_id for one in reviews.list_all(engine)] == ["a", "b"]
    decided = reviews.decide(engine, "a", "snoozed", "sam", "wait")
    assert (decided.state, decided.decided_by, decided.note) == ("snoozed", "sam", "wait")
    assert reviews.decide(engine, "a", "retrain", "kim") == reviews.get(engine, "a")
    assert reviews.add(engine, review("a")).state == "retrain"


def test_a_decision_is_final_and_of_a_known_kind(engine: Engine) -> None:
    reviews.add(engine, review("a"))
    with pytest.raises(StoreError, match="decision is unknown"):
        reviews.decide(engine, "a", "maybe", "sam")
    reviews.decide(engine, "a", "dismissed", "sam")
    with pytest.raises(StoreError, match="decided before"):
        reviews.decide(engine, "a", "retrain", "sam")
    with pytest.raises(StoreError, match="unknown"):
        reviews.get(engine, "z")


def users(**consents: object) -> pa.Table:
    said = [text if isinstance(text, str) else json.dumps(text) for text in consents.values()]
    columns = {"user_id": list(consents), "attributes": ["{}"] * len(said), "consent": said, "first_seen_at": [NOON] * len(said)}
    return USERS.check(pa.table(columns))


def test_consent_is_kept_per_purpose_and_the_newest_word_counts(engine: Engine) -> None:
    consent.record(engine, users(u1={"personalise": False, "analyse": True}, u2={"personalise": True}))
    assert not consent.granted(engine, "u1", "personalise")
    assert consent.granted(engine, "u1", "analyse")
    assert consent.granted(engine, "u1", "advertise")
    assert consent.granted(engine, "never heard of", "personalise")
    assert consent.refusals(engine, "personalise") == {"u1"}
    consent.record(engine, users(u1={"personalise": True}))
    assert consent.refusals(engine, "personalise") == set()


@pytest.mark.parametrize("text", ["no json", "[]", '{"personalise": 1}', '{"sell": true}'])
def test_consent_that_cannot_be_understood_is_refused_whole(engine: Engine, text: str) -> None:
    with pytest.raises(ContractError, match="consent"):
        consent.record(engine, users(u1={"personalise": False}, u2=text))
    assert consent.granted(engine, "u1", "personalise")


def test_a_user_who_refused_is_read_without_a_history(engine: Engine) -> None:
    append(engine, events_table(event("a")))
    assert read_user(engine, "u1", 2**62, 10).history.item_ids == ["item-a"]
    consent.record(engine, users(u1={"personalise": False}))
    found = read_user(engine, "u1", 2**62, 10)
    granted, history = found.consented, found.history
    assert not granted
    assert history.item_ids == []


def test_an_older_word_changes_nothing_and_each_word_keeps_its_moment_and_source(engine: Engine) -> None:
    later = NOON + timedelta(hours=1)
    assert consent.say(engine, "u1", {"personalise": False, "analyse": True}, recorded_at=later, source="support") == 2
    assert consent.say(engine, "u1", {"personalise": True, "advertise": False}, recorded_at=NOON, source="http") == 1
    assert consent.record(engine, users(u1={"analyse": False}, u2={"analyse": False}), source="shop") == 1
    assert consent.words(engine, "u1") == [
        Word("advertise", False, NOON, "http"),
        Word("analyse", True, later, "support"),
        Word("personalise", False, later, "support"),
    ]
    assert consent.everyone(engine) == {"u1": {"advertise": False, "analyse": True, "personalise": False}, "u2": {"analyse": False}}
    assert consent.words(engine, "nobody") == []
    with pytest.raises(ContractError, match="consent"):
        consent.say(engine, "u1", {"sell": True}, recorded_at=later, source="http")


def test_a_word_from_before_moments_were_kept_is_older_than_any(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(consents), [{"user_id": "u1", "purpose": "personalise", "granted": 0}])
    assert consent.words(engine, "u1") == [Word("personalise", False, None, None)]
    assert consent.record(engine, users(u1={"personalise": True})) == 1
    assert consent.granted(engine, "u1", "personalise")
