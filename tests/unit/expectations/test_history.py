"""A batch against the batches before it, by hand: what is usual, what is allowed, and what is not asked."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from expectations.history import Measure, Past, compare
from expectations.profile import profile
from expectations.rules import HISTORY, read_suite
from footfall.sources.months import claimed_span, month_batches
from tests.unit.rows import catalogue, day, events

LIMITS = read_suite("events", HISTORY).limits
MONDAY = date(2017, 3, 6)


def days(rows: dict[date, int], covers: tuple[date, date] | None = None) -> dict[str, Any]:
    """A profile with so many rows a day and nothing else of note."""
    first, last = min(rows, default=MONDAY), max(rows, default=MONDAY) + timedelta(1)
    start, end = covers or (first, last)
    counts = {at.isoformat(): count for at, count in rows.items() if count}
    total = sum(counts.values())
    other = {"rows": total, "groups": {}, "prices": {}, "hours": [0] * 24, "sessions": {"rows": 0, "sessions": 0}}
    return other | {"days": counts, "covers": [start.isoformat(), end.isoformat()]}


def weeks(count: int, rows: int, before: date) -> tuple[dict[str, Any], ...]:
    """Weeks of `rows` a day up to the day `before`."""
    return tuple(days({before - timedelta(7 * week - number): rows for number in range(7)}) for week in range(count, 0, -1))


def of_kind(kind: str, found: list[Measure]) -> list[Measure]:
    return [measure for measure in found if measure.kind == kind]


def asked(batch: dict[str, Any], *before: dict[str, Any], covers: tuple[date, date]) -> list[Measure]:
    return compare("events", batch, Past(before, covers), LIMITS)


def test_a_day_is_held_against_the_same_weekdays_before() -> None:
    first = date(2017, 6, 5)
    before = (*weeks(3, 380, first - timedelta(28)), *weeks(4, 400, first))
    found = of_kind("rows_per_day", asked(days({first: 250}), *before, covers=(first, first + timedelta(1))))
    assert found == [Measure("rows_per_day", "2017-06-05", 250, 400, 200, 1000)]


def test_a_day_that_was_as_quiet_a_year_ago_is_allowed_to_be_quiet() -> None:
    first = date(2018, 11, 23)
    last_year = days({date(2017, 11, 24): 90})
    (found,) = of_kind("rows_per_day", asked(days({first: 100}), last_year, *weeks(6, 400, first), covers=(first, first + timedelta(1))))
    assert (found.usual, found.low, found.high) == (400, 45, 1000)


def test_a_shop_whose_days_differ_may_have_days_that_differ() -> None:
    first = date(2017, 6, 5)
    quiet = tuple(days({first - timedelta(number): 100 if number % 14 < 7 else 500}) for number in range(1, 100))
    (found,) = of_kind("rows_per_day", asked(days({first: 100}), *quiet, covers=(first, first + timedelta(1))))
    assert found.low is not None
    assert found.low <= 100


def test_days_without_rows_are_counted_in_a_row_and_up_to_the_end() -> None:
    before = weeks(4, 10, MONDAY)
    covers = (MONDAY, MONDAY + timedelta(7))
    batch = days({MONDAY: 10, MONDAY + timedelta(3): 10}, covers)
    found = of_kind("days_without_rows", asked(batch, *before, covers=covers))
    assert [(one.of, one.value, one.usual, one.high) for one in found] == [("in a row", 3, 0, 1), ("up to its end", 3, 0, 1)]


def test_with_too_little_history_nothing_is_asked() -> None:
    assert asked(days({MONDAY: 5}), *weeks(3, 500, MONDAY), covers=(MONDAY, MONDAY + timedelta(1))) == []
    assert compare("catalogue", profile("catalogue", catalogue("apple")), Past(), read_suite("catalogue", HISTORY).limits) == []


def test_medians_missing_values_and_shares_are_held_against_the_batches_before() -> None:
    before = profile("events", events(*[{"currency": "EUR", "occurred_at": day(number / 50), "place": "a"} for number in range(1000)]))
    batch = profile(
        "events",
        events(*[{"currency": "EUR", "occurred_at": day(20), "price_minor": 10_000, "place": None if n % 5 < 2 else "a"} for n in range(200)]),
    )
    found = compare("events", batch, Past((before,), (day(20).date(), day(21).date())), LIMITS)
    assert of_kind("prices", found) == [Measure("prices", "median of EUR purchase, minor units", 10_000, 100, 20, 500)]
    assert Measure("missing_values", "place of purchase, %", 40, 0, None, 20) in found
    assert of_kind("event_types", found) == [Measure("event_types", "purchase, %", 100, 100, 75, 125)]


def test_the_end_of_a_campaign_is_no_fault_of_the_log() -> None:
    before = profile("events", events(*[{"occurred_at": day(number / 50), "campaign_id": "spring"} for number in range(1000)]))
    batch = profile("events", events(*[{"occurred_at": day(20)} for _ in range(200)]))
    found = compare("events", batch, Past((before,), (day(20).date(), day(21).date())), LIMITS)
    assert of_kind("missing_values", found)
    assert not [measure for measure in found if "campaign_id" in measure.of]


def test_a_profile_counts_days_hours_and_prices() -> None:
    found = profile("events", events({"occurred_at": day(0.5), "price_minor": 5}, {"occurred_at": day(1), "price_minor": 7, "event_type": "view"}))
    assert found["days"] == {"2017-03-01": 1, "2017-03-02": 1}
    assert (found["hours"][12], found["hours"][0]) == (1, 1)
    assert found["prices"]["no currency purchase"] == {"rows": 1, "p10": 5, "median": 5, "p90": 5}
    assert found["groups"]["view"]["nulls"]["place"] == 1


def test_a_moment_before_1970_and_a_kind_that_nobody_knows_do_not_stop_the_count() -> None:
    found = profile("events", events({"occurred_at": day(-17_230.5)}, {"event_type": "ann@example.org"}))
    assert list(found["days"]) == ["1969-12-27", "2017-03-02"]
    assert "example" not in str(found)


def test_batch_ids_say_which_days_they_claim() -> None:
    for batch in month_batches("shop", day(3.25), day(75)):
        assert claimed_span(batch.batch_id) == (batch.start, batch.end)
    assert claimed_span("shop-2017-13") is None
    assert claimed_span("shop-2017-02-replay-abc") is None
