"""A batch against the accepted batches before it: rows a day, missing values, event types, prices, hours, days without rows.

Each comparison is a `Measure`: what the batch has, what is usual, and what is allowed. The limits stand in `suites/history/*.json`, and
Great Expectations judges the measures as rows of a table. Where there is too little history a kind has no measures: it is not asked,
and the receipt says so.

The limits were set on a year of The Complete Journey (365 day batches, Thanksgiving and Christmas among them); docs/data.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from expectations.days import days_without_rows, full_days, rows_per_day
from expectations.profile import Profile
from footfall.contracts import CONTRACTS, EVENTS, C

WINDOW_DAYS = 91
"""How far back a batch is compared; last year's season besides."""
_BY_CALENDAR = {C.CAMPAIGN_ID}
"""Columns that are empty whenever the shop's calendar is: their missing values say nothing of the log."""


@dataclass(frozen=True)
class Past:
    """What the gate may hold a batch against.

    Attributes:
        profiles: of the accepted batches of the same contract and source, without the batch itself, in the order of their ids.
        covers: first day that the batch stands for and the first that it does not; None where its id says nothing.
        accepted_ids: event ids of accepted batches that lie in the same days.
    """

    profiles: tuple[Profile, ...] = ()
    covers: tuple[date, date] | None = None
    accepted_ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Measure:
    """One figure of a batch beside the usual one. `low` and `high` are what is allowed, both included; None is no bound."""

    kind: str
    of: str
    value: int
    usual: int
    low: int | None
    high: int | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def compare(contract_name: str, batch: Profile, past: Past, limits: Mapping[str, Mapping[str, int]]) -> list[Measure]:
    """All measures of one batch that its history is long enough for, by kind and name.

    Args:
        batch: the batch's own profile.
        limits: of each kind; see `suites/history`.
    """
    found: list[Measure] = []
    if contract_name == EVENTS.name:
        recent = _recent(past, batch)
        days = full_days(past.covers)
        for kind, of, value, usual, low, high in [
            *rows_per_day(batch, past.profiles, days, limits.get("rows_per_day")),
            *days_without_rows(batch, past.profiles, days, limits.get("days_without_rows")),
        ]:
            found.append(Measure(kind, of, value, usual, low, high))
        found += _hours(batch, recent, days, limits["hours"]) + _sessions(batch, recent, limits["rows_per_session"])
        found += _shares(batch, recent, limits["event_types"])
    else:
        recent = list(past.profiles[-1:])  # a snapshot is held against the one before
        found += _rows(batch, recent, limits["rows"])
    if "missing_values" in limits:
        found += _nulls(contract_name, batch, recent, limits["missing_values"])
    return found + _prices(batch, recent, limits["prices"]) if "prices" in limits else found


def _recent(past: Past, batch: Profile) -> list[Profile]:
    """Profiles of the weeks before the batch's first day: what was usual lately."""
    first = past.covers[0] if past.covers else date.fromisoformat(min(batch["days"], default="1970-01-01"))
    since = (first - timedelta(days=WINDOW_DAYS)).isoformat()
    before = first.isoformat()
    return [profile for profile in past.profiles if profile["days"] and max(profile["days"]) >= since and min(profile["days"]) < before]


def _rows(batch: Profile, recent: Sequence[Profile], limit: Mapping[str, int]) -> list[Measure]:
    if not recent or recent[-1]["rows"] < limit["from_rows"]:
        return []
    usual = recent[-1]["rows"]
    high = usual * limit["high_percent"] // 100 if "high_percent" in limit else None
    return [Measure("rows", "all rows", batch["rows"], usual, -(-usual * limit["low_percent"] // 100), high)]


def _nulls(contract_name: str, batch: Profile, recent: Sequence[Profile], limit: Mapping[str, int]) -> list[Measure]:
    """Percent of missing values by column, for each event type apart."""
    found, columns = [], [field.name for field in CONTRACTS[contract_name].schema if field.nullable and field.name not in _BY_CALENDAR]
    for name, group in batch["groups"].items():
        before = [profile["groups"][name] for profile in recent if name in profile["groups"]]
        rows = sum(other["rows"] for other in before)
        if group["rows"] < limit["rows"] or rows < limit["from_rows"]:
            continue
        for column in columns:
            usual = round(100 * sum(other["nulls"].get(column, 0) for other in before) / rows)
            value = round(100 * group["nulls"].get(column, 0) / group["rows"])
            if usual < 100:  # else a column that the source never fills
                found.append(Measure("missing_values", f"{column} of {name}, %", value, usual, None, usual + limit["points"]))
    return found


def _shares(batch: Profile, recent: Sequence[Profile], limit: Mapping[str, int]) -> list[Measure]:
    """Percent of the rows by event type."""
    before = _sum({name: group["rows"] for name, group in profile["groups"].items()} for profile in recent)
    total, rows = sum(before.values()), batch["rows"]
    if rows < limit["rows"] or total < limit["from_rows"]:
        return []
    found = []
    for name in sorted({*before, *batch["groups"]}):
        usual = round(100 * before.get(name, 0) / total)
        value = round(100 * batch["groups"].get(name, {"rows": 0})["rows"] / rows)
        low = max(usual - limit["points"], usual * limit["low_percent"] // 100)
        found.append(Measure("event_types", f"{name}, %", value, usual, low, usual + limit["points"]))
    return found


def _prices(batch: Profile, recent: Sequence[Profile], limit: Mapping[str, int]) -> list[Measure]:
    """Median price by currency and event type, in minor units, against the median of the batches' medians, each with its rows."""
    found = []
    for name, prices in batch["prices"].items():
        before = sorted((profile["prices"][name]["median"], profile["prices"][name]["rows"]) for profile in recent if name in profile["prices"])
        rows = sum(count for _, count in before)
        if prices["rows"] < limit["rows"] or rows < limit["from_rows"]:
            continue
        usual = _weighted_median(before)
        if usual > 0:
            low, high = -(-usual * limit["low_percent"] // 100), usual * limit["high_percent"] // 100
            found.append(Measure("prices", f"median of {name}, minor units", prices["median"], usual, low, high))
    return found


def _weighted_median(values: Sequence[tuple[int, int]]) -> int:
    """Of sorted (value, weight): the first value that half of the weight does not exceed."""
    reached, half = 0, sum(weight for _, weight in values) / 2
    for value, weight in values:
        reached += weight
        if reached >= half:
            return value
    return 0


def _sessions(batch: Profile, recent: Sequence[Profile], limit: Mapping[str, int]) -> list[Measure]:
    """Rows to ten sessions; half of the rows lost leaves the sessions and thins them out."""
    mine, before = batch["sessions"], _sum(profile["sessions"] for profile in recent)
    if mine["sessions"] < limit["rows"] or before.get("sessions", 0) < limit["from_rows"]:
        return []
    value, usual = 10 * mine["rows"] // mine["sessions"], 10 * before["rows"] // before["sessions"]
    high = usual * limit["high_percent"] // 100
    return [Measure("rows_per_session", "rows to ten sessions", value, usual, -(-usual * limit["low_percent"] // 100), high)]


def _hours(batch: Profile, recent: Sequence[Profile], days: Sequence[date], limit: Mapping[str, int]) -> list[Measure]:
    """Percent of the rows that would have to move to another hour of the day to look like before. Asked of whole days only."""
    before = _sum(dict(enumerate(profile["hours"])) for profile in recent)
    total, rows = sum(before.values()), sum(batch["hours"])
    known = {day for profile in recent for day in profile["days"]}
    names = {day.isoformat() for day in days}
    if not names or not set(batch["days"]) <= names or set(batch["days"]) & known:
        return []
    if rows < limit["rows"] or total < limit["from_rows"] or len(known) < limit["from_days"]:
        return []
    moved = sum(abs(count / rows - before[hour] / total) for hour, count in enumerate(batch["hours"])) / 2
    return [Measure("hours", "rows at unusual hours, %", round(100 * moved), 0, None, limit["points"])]


def _sum(counts: Iterable[Mapping[Any, int]]) -> dict[Any, int]:
    total: dict[Any, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total
