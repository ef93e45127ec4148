"""Which windows are compared, and when a comparison may start a retrain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flows.monitor import choose_spans, silence
from footfall.documents import Review


def _day(month: int, day: int) -> datetime:
    return datetime(2017, month, day, tzinfo=UTC)


DRIFT = Review("w1", "now", "r1", [], [_day(10, 29).isoformat(), _day(11, 26).isoformat()], "drift", ["Gifts."], [], None, None)


def test_the_demo_compares_the_four_weeks_around_the_first_as_of() -> None:
    spans = choose_spans(_day(11, 26), _day(10, 29), 28)
    assert spans.current == (_day(10, 29), _day(11, 26))
    assert spans.reference == (_day(10, 1), _day(10, 29))


def test_an_old_champion_is_held_to_what_it_learnt_and_a_young_one_to_the_window_before() -> None:
    assert choose_spans(_day(11, 26), _day(6, 30), 28).reference == (_day(6, 2), _day(6, 30))
    assert choose_spans(_day(11, 26), _day(11, 20), 28).reference == (_day(10, 1), _day(10, 29))


@given(until=st.datetimes(_day(1, 1).replace(tzinfo=None), _day(12, 31).replace(tzinfo=None)), age=st.integers(-500, 500), days=st.integers(1, 90))
def test_windows_are_equally_long_and_never_overlap(until: datetime, age: int, days: int) -> None:
    spans = choose_spans(until, until - timedelta(days=age), days)
    assert spans.reference[1] <= spans.current[0] < spans.current[1] == until
    assert spans.reference[1] - spans.reference[0] == spans.current[1] - spans.current[0] == timedelta(days=days)


def test_drift_that_nobody_has_answered_is_not_silenced() -> None:
    assert silence(DRIFT, []) is None
    assert silence(DRIFT, [_day(10, 29)]) is None


def test_no_drift_no_event() -> None:
    assert silence(replace(DRIFT, verdict="no drift"), []) == "No event: no drift."


def test_a_decided_review_sends_no_second_event() -> None:
    for state in ("retrain", "dismissed", "snoozed"):
        assert state in (silence(replace(DRIFT, state=state), []) or "")


def test_a_release_that_has_read_into_the_window_silences_it() -> None:
    assert "2017-11-01" in (silence(DRIFT, [_day(10, 29), _day(11, 1)]) or "")
