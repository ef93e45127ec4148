"""Events and the slates that they name, page by page, on every database."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from footfall.store import Engine, consent, events, exposures, feedback
from tests.unit.footfall.store.store_rows import MINUTE, NOON, event, events_table, slate

DAY = timedelta(days=1)


def names(tables: tuple[pa.Table, pa.Table]) -> tuple[list[str], list[str]]:
    """Requests of the lines, ids of the events."""
    return tables[0]["request_id"].to_pylist(), tables[1]["event_id"].to_pylist()


def fill(engine: Engine) -> None:
    exposures.append(engine, pa.concat_tables([slate("q1", "a", "b"), slate("q2", "c", minutes=10), slate("q3", "c", minutes=10, release="r2")]))
    told = [event("e1", 1, request_id="q1"), event("e2", 1, request_id="q2"), event("e3", 1, request_id="q9"), event("e4", 12, request_id="q2")]
    told += [event("none", 1), event("taken back", 2, request_id="q1"), event("e5", 13, request_id="q1", query="red tea")]
    events.append(engine, events_table(*told))
    events.withdraw(engine, ["taken back"], "test")


def test_pages_hold_each_event_that_names_a_request_once_in_the_order_of_time(engine: Engine) -> None:
    fill(engine)
    found = [names(page) for page in feedback.pages(engine, NOON, size=2)]
    assert found == [(["q1", "q1", "q2"], ["e1", "e2"]), (["q2"], ["e3", "e4"]), (["q1", "q1"], ["e5"])]
    (whole,) = feedback.pages(engine, NOON)
    assert whole[1]["query"].null_count == 5


def test_events_of_earlier_slates_are_left_out(engine: Engine) -> None:
    fill(engine)
    assert [names(page) for page in feedback.pages(engine, NOON + 10 * MINUTE)] == [(["q2"], ["e4"])]


def test_what_was_shown_is_counted_by_release_arm_and_policy(engine: Engine) -> None:
    fill(engine)
    assert feedback.shown(engine, NOON) == [("r1", "champion", "fused", 2, 3), ("r2", "champion", "fused", 1, 1)]
    assert feedback.shown(engine, NOON + MINUTE) == [("r1", "champion", "fused", 1, 1), ("r2", "champion", "fused", 1, 1)]


def test_a_period_has_its_slates_and_the_events_of_its_window(engine: Engine) -> None:
    fill(engine)
    assert names(feedback.period(engine, NOON, NOON + MINUTE, 12 * MINUTE)) == (["q1", "q1"], ["e1", "e2", "e3", "e4"])


def test_who_refused_to_be_analysed_is_in_nothing(engine: Engine) -> None:
    fill(engine)
    consent.say(engine, "u1", {"analyse": False}, recorded_at=NOON, source="test")
    assert feedback.shown(engine, NOON) == []
    assert list(feedback.pages(engine, NOON)) == []
    assert names(feedback.period(engine, NOON, NOON + DAY, DAY)) == ([], [])
