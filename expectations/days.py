"""Rows by day against the same weekdays of the weeks before, and where there is a year of history the season before; days without rows.

A day counts once it is over: only whole days of the batch's span are asked. A day that the batch shares with an accepted one
is judged by both together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from expectations.profile import Profile

Row = tuple[str, str, int, int, int | None, int | None]
"""kind, what, value, usual, lowest and highest allowed."""
_WEEKS, _OF_AT_LEAST, _SPREAD_DAYS = 8, 4, 182


def full_days(covers: tuple[date, date] | None) -> list[date]:
    """The days of a span, its end left out."""
    if covers is None:
        return []
    return [covers[0] + timedelta(days=number) for number in range((covers[1] - covers[0]).days)]


def rows_per_day(batch: Profile, before: Sequence[Profile], days: Sequence[date], limit: Mapping[str, int] | None) -> list[Row]:
    """Rows of each whole day that has any.

    Usual is the median of the same weekday in up to eight weeks before the batch. Where last year's day is known (the same weekday, 52 weeks ago,
    or the same date) the wider of both ranges is allowed: a holiday is quiet every year.
    """
    if limit is None or not days:
        return []
    known = _known(before, days[0])
    low_percent, high_percent = _spread(known, days[0], limit)
    found: list[Row] = []
    for day in days:
        if not batch["days"].get(day.isoformat()):
            continue
        value = batch["days"][day.isoformat()] + sum(profile["days"].get(day.isoformat(), 0) for profile in before)
        earlier = [known[other] for other in _same_weekdays(day, days[0]) if other in known][:_WEEKS]
        usual = _median(earlier)
        if len(earlier) < _OF_AT_LEAST or usual < limit["from_rows"]:
            continue
        season = [known[other] for other in _last_year(day) if known.get(other)]
        low, high = -(-min([usual, *season]) * low_percent // 100), max([usual, *season]) * high_percent // 100
        found.append(("rows_per_day", day.isoformat(), value, usual, low, high))
    return found


def days_without_rows(batch: Profile, before: Sequence[Profile], days: Sequence[date], limit: Mapping[str, int] | None) -> list[Row]:
    """The longest run of whole days without a row, and the run at the end of the span: how fresh the newest row is."""
    known = _known(before, days[0]) if days else {}
    if limit is None or len(known) < limit["from_days"]:
        return []
    usual = _longest([not known[day] for day in sorted(known)])
    here = [any(day.isoformat() in profile["days"] for profile in (batch, *before)) for day in days]
    at_end = next((number for number, filled in enumerate(reversed(here)) if filled), len(here))
    high = usual + limit["more"]
    kind = "days_without_rows"
    return [(kind, "in a row", _longest([not filled for filled in here]), usual, None, high), (kind, "up to its end", at_end, usual, None, high)]


def _known(before: Sequence[Profile], until: date) -> dict[date, int]:
    """Rows of each day before `until` that accepted batches stand for; 0 for a day that they cover without a row."""
    known: dict[date, int] = {}
    for profile in before:
        if profile["covers"]:
            start, end = (date.fromisoformat(text) for text in profile["covers"])
            known.update({day: known.get(day, 0) for day in full_days((start, end))})
        for text, rows in profile["days"].items():
            day = date.fromisoformat(text)
            known[day] = known.get(day, 0) + rows
    return {day: rows for day, rows in known.items() if day < until}


def _spread(known: Mapping[date, int], first: date, limit: Mapping[str, int]) -> tuple[int, int]:
    """Lowest and highest percent of the usual that is allowed: the suite's limits, wider for a shop whose days have always differed more.

    Of half a year of days the least and the most usual fiftieth are left out, so that one day that was let in by hand does not open the gate.
    """
    lately = {day: rows for day, rows in known.items() if rows and (first - day).days <= _SPREAD_DAYS}
    usual = {weekday: _median([rows for day, rows in lately.items() if day.weekday() == weekday]) for weekday in range(7)}
    percents = sorted(100 * rows // usual[day.weekday()] for day, rows in lately.items() if usual[day.weekday()])
    if len(percents) < limit["from_days"]:
        return limit["new_low_percent"], limit["new_high_percent"]  # nobody knows yet how this shop's days differ
    cut = len(percents) // 50
    return min(limit["low_percent"], percents[cut] * 2 // 3), max(limit["high_percent"], percents[-1 - cut] * 3 // 2)


def _same_weekdays(day: date, before: date) -> list[date]:
    """The same weekday in the weeks before `before`, newest first: a month's last week looks back over the month itself."""
    back = (timedelta(days=7 * week) for week in range(1, 2 * _WEEKS + 1))
    return [day - step for step in back if day - step < before]


def _last_year(day: date) -> list[date]:
    same_date = day - timedelta(days=365)
    return [day - timedelta(days=364), same_date, same_date - timedelta(days=1)]


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2] if values else 0


def _longest(run: Sequence[bool]) -> int:
    longest = current = 0
    for yes in run:
        current = current + 1 if yes else 0
        longest = max(longest, current)
    return longest
