"""Consent between feed, store and the next training: the newest word counts, and a feed that repeats itself says nothing new."""

from __future__ import annotations

import json
from datetime import timedelta

import pyarrow as pa
import pytest

from footfall.contracts import PERSONALISE, USERS, C, refusing_users
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sources import consents, landing
from footfall.sources.landing import Batch
from footfall.stages.events import latest_rows
from footfall.store import Engine, consent, events
from footfall.store.consent import Word
from footfall.tables import read_parquet
from tests.unit.rows import day
from tests.unit.rows import events as event_rows

NO, YES = {"personalise": False}, {"personalise": True}


def feed(paths: Paths, engine: Engine, number: int, **said: dict[str, bool]) -> None:
    """The shop's users feed of a day, landed and accepted as the flow does it."""
    rows = [{C.USER_ID: user, C.ATTRIBUTES: '{"age": "35"}', C.CONSENT: json.dumps(words), C.FIRST_SEEN_AT: day(0)} for user, words in said.items()]
    batch = landing.land(paths, "users", f"shop-2017-03-{number:02d}", pa.Table.from_pylist(rows, USERS.schema))
    table = landing.read_candidate(batch)
    consents.record_news(engine, paths, batch, table, day(number))
    accept(paths, batch, table)


def accept(paths: Paths, batch: Batch, table: pa.Table) -> None:
    landing.accept(paths, batch, table, Verdict(batch.batch_id, "users", "pass", table.num_rows, {}, []))


def reconcile(paths: Paths, engine: Engine, number: int) -> list[dict[str, object]]:
    """What is landed so that the next training obeys the store."""
    batch = consents.land_words(paths, engine, day(number))
    if batch is None:
        return []
    rows = landing.read_candidate(batch)
    accept(paths, batch, rows)
    assert consents.is_repeated(batch.batch_id)
    found: list[dict[str, object]] = rows.to_pylist()
    return found


def refusing(paths: Paths) -> set[str]:
    """Whom the stages leave out, from data/raw alone."""
    tables = [read_parquet(folder / landing.ROWS).replace_schema_metadata(None) for folder in landing.list_batches(paths, "users")]
    return set(refusing_users(latest_rows(USERS, tables), PERSONALISE).column(C.USER_ID).to_pylist())


@pytest.fixture
def paths(tmp_path: object) -> Paths:
    return Paths(tmp_path)  # type: ignore[arg-type]


def test_a_refusal_at_support_outlives_a_feed_that_repeats_itself_and_yields_to_one_that_changes(paths: Paths, sqlite: Engine) -> None:
    feed(paths, sqlite, 1, ann=YES, bob=YES)
    assert consent.words(sqlite, "ann") == [Word("personalise", True, day(0), "shop")]
    assert consent.say(sqlite, "ann", NO, recorded_at=day(2), source="support") == 1
    feed(paths, sqlite, 3, ann=YES, bob=NO)
    assert consent.words(sqlite, "ann") == [Word("personalise", False, day(2), "support")]
    assert consent.words(sqlite, "bob") == [Word("personalise", False, day(3), "shop")]
    feed(paths, sqlite, 4, ann=NO, bob=NO)
    feed(paths, sqlite, 5, ann=YES, bob=NO)
    assert consent.words(sqlite, "ann") == [Word("personalise", True, day(5), "shop")]


def test_the_first_word_of_a_feed_is_as_old_as_the_user(paths: Paths, sqlite: Engine) -> None:
    consent.say(sqlite, "ann", NO, recorded_at=day(1), source="support")
    feed(paths, sqlite, 9, ann=YES)
    assert consent.refusals(sqlite, PERSONALISE) == {"ann"}


def test_what_the_store_knows_better_reaches_the_stages_through_raw_batches_once(paths: Paths, sqlite: Engine) -> None:
    feed(paths, sqlite, 1, ann=YES, bob=YES)
    assert reconcile(paths, sqlite, 1) == []
    consent.say(sqlite, "ann", NO, recorded_at=day(2), source="support")
    assert refusing(paths) == set()
    (row,) = reconcile(paths, sqlite, 2)
    assert row == {C.USER_ID: "ann", C.ATTRIBUTES: '{"age": "35"}', C.CONSENT: '{"personalise": false}', C.FIRST_SEEN_AT: day(0)}
    assert refusing(paths) == {"ann"}
    assert reconcile(paths, sqlite, 2) == []

    consent.say(sqlite, "bob", NO, recorded_at=day(3), source="support")
    consent.say(sqlite, "ann", YES, recorded_at=day(3), source="support")
    assert len(reconcile(paths, sqlite, 3)) == 2
    assert refusing(paths) == {"bob"}

    feed(paths, sqlite, 4, ann=YES, bob=YES, eve=NO)  # the shop's own database never heard of it
    assert refusing(paths) == {"eve"}
    assert [row[C.USER_ID] for row in reconcile(paths, sqlite, 4)] == ["bob"]
    assert refusing(paths) == {"bob", "eve"}


def test_who_refused_and_is_in_no_feed_is_left_out_from_their_first_event_on(paths: Paths, sqlite: Engine) -> None:
    feed(paths, sqlite, 1, ann=YES)
    events.append(sqlite, event_rows({"user_id": "new", "occurred_at": day(5)}, {"user_id": "new", "occurred_at": day(6)}))
    for user in ("new", "stranger"):
        consent.say(sqlite, user, NO, recorded_at=day(7), source="http")
    consent.say(sqlite, "glad", YES, recorded_at=day(7), source="http")  # nobody needs to know of what is the rule anyway
    first = {row[C.USER_ID]: row[C.FIRST_SEEN_AT] for row in reconcile(paths, sqlite, 8)}
    assert first == {"new": day(5), "stranger": day(8) - timedelta(microseconds=1)}
    assert refusing(paths) == {"new", "stranger"}


def test_a_kill_before_acceptance_lands_the_same_batch_again(paths: Paths, sqlite: Engine) -> None:
    feed(paths, sqlite, 1, ann=YES)
    consent.say(sqlite, "ann", NO, recorded_at=day(2), source="support")
    first, second = (consents.land_words(paths, sqlite, day(number)) for number in (2, 3))
    assert first is not None
    assert first == second
