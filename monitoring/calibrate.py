"""Limits of the drift measures from quiet times: neighbouring windows are compared as A/A, and each limit lies above the largest value seen.

The rule of the margin: a limit is MARGIN times the largest quiet value, rounded up to four decimals. Neighbouring windows step by a week, so
pairs overlap: many pairs, fewer independent ones. How often a limit drawn in the same way from other times would have alarmed is therefore
measured too (`held_out_alarms`): each pair is judged by limits from the pairs that share no day with it.
Slates in quiet times are stand-ins (`monitoring.stand_in`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import PURCHASE, TIMESTAMP, C
from footfall.errors import ParamsError
from footfall.params import Params
from monitoring.report import NON_VOTING, TITLES, measure_windows
from monitoring.stand_in import stand_in_slates
from monitoring.windows import Window, build_window

MARGIN = 1.1
SLATE_MEASURES = ("top_score_distance", "mean_score_distance", "hit_rate_drop", "offline_hit_rate_drop")
STAND_IN = "slates are stand-ins: personal frequency with live histories, one for every trip"


@dataclass(frozen=True)
class QuietPair:
    """Two neighbouring windows and what every measure said of them."""

    start: datetime
    middle: datetime
    end: datetime
    values: dict[str, float]

    def shares_a_day(self, other: QuietPair) -> bool:
        """Whether the two pairs overlap."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Calibration:
    """Quiet pairs, and the limits drawn from them."""

    source: str
    window_days: int
    step_days: int
    pairs: list[QuietPair]

    @property
    def limits(self) -> dict[str, float]:
        """One limit a voting measure."""
        return draw_limits(self.pairs)

    @property
    def measures(self) -> list[str]:
        """Every measure that some pair has."""
        return [name for name in TITLES if any(name in pair.values for pair in self.pairs)]

    def summary(self, name: str) -> dict[str, float]:
        """Pairs that have the measure, and its smallest, median and largest quiet value."""
        values = [pair.values[name] for pair in self.pairs if name in pair.values]
        figures = {"smallest": min(values), "median": float(np.median(values)), "largest": max(values)}
        return {"pairs": len(values)} | {key: round(value, 6) for key, value in figures.items()}

    def held_out_alarms(self, name: str) -> float:
        """Share of quiet pairs over a limit drawn from the pairs that share no day with them: how far the limit carries to unseen months."""
        return held_out_alarms([pair for pair in self.pairs if name in pair.values], name)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: everything that the limits came from, without a clock."""
        return {
            "source": self.source,
            "window_days": self.window_days,
            "step_days": self.step_days,
            "margin": MARGIN,
            "rule": "limit = margin x largest quiet value, rounded up to four decimals",
            "slates": STAND_IN,
            "limits": self.limits,
            "quiet": {name: self.summary(name) for name in self.measures},
            "held_out_alarms": {name: round(self.held_out_alarms(name), 4) for name in self.limits},
            "pairs": [
                {"start": f"{pair.start:%Y-%m-%d}", "middle": f"{pair.middle:%Y-%m-%d}", "end": f"{pair.end:%Y-%m-%d}"}
                | {"values": {name: round(value, 6) for name, value in pair.values.items()}}
                for pair in self.pairs
            ],
        }


def calibrate(
    source: str,
    events: pa.Table,
    catalogue: pa.Table,
    quiet: tuple[datetime, datetime],
    step_days: int,
    params: Params,
    *,
    follow: Callable[[list[datetime]], Iterable[datetime]] = iter,
) -> Calibration:
    """Measure every neighbouring pair of windows inside the `quiet` span.

    Args:
        source: name of the source, for the record.
        events: EVENTS from the beginning to the end of `quiet`, as the gate passes them.
        catalogue: CATALOGUE.
        quiet: first moment, and the moment after the last.
        step_days: days between the starts of neighbouring pairs.
        params: window length, vocabulary, half-life and test days.
        follow: wraps the pairs' starts, for a progress bar.

    Raises:
        ParamsError: the span is shorter than two windows.
    """
    starts = quiet_starts(*quiet, params.monitor.window_days, step_days)
    if not starts:
        raise ParamsError("quiet span is too short", where=source, expected=f"{2 * params.monitor.window_days} days", found=quiet[1] - quiet[0])
    return Calibration(source, params.monitor.window_days, step_days, list(quiet_pairs(events, catalogue, follow(starts), params)))


def quiet_starts(first: datetime, until: datetime, window_days: int, step_days: int) -> list[datetime]:
    """Starts of the pairs of windows that fit into [first, until), the last one ending at `until`, in order."""
    spare = (until - first).days - 2 * window_days
    return [until - timedelta(days=2 * window_days + step_days * step) for step in range(spare // step_days, -1, -1)]


def quiet_pairs(events: pa.Table, catalogue: pa.Table, starts: Iterable[datetime], params: Params) -> Iterator[QuietPair]:
    """Measure each pair as the monitor would have: the vocabulary is what a release trained before the pair would know.

    Slates count only once histories are one half-life old: until then they, and with them scores and hits, grow by themselves.
    """
    half_life, window = params.baselines.half_life_days, timedelta(days=params.monitor.window_days)
    mature = pc.min(events[C.OCCURRED_AT]).as_py() + timedelta(days=half_life)
    recommendable = catalogue.filter(catalogue[C.RECOMMENDABLE])[C.ITEM_ID]
    bought = events.filter(pc.and_(pc.equal(events[C.EVENT_TYPE], PURCHASE), pc.is_in(events[C.ITEM_ID], value_set=recommendable.combine_chunks())))
    for start in starts:
        middle, end = start + window, start + 2 * window
        counts = bought.filter(pc.less(bought[C.OCCURRED_AT], pa.scalar(start, TIMESTAMP)))[C.ITEM_ID].value_counts()
        known = counts.field("values").filter(pc.greater_equal(counts.field("counts"), params.split.vocabulary_min_count)).sort()
        slates = stand_in_slates(bought, known, start, end, half_life)
        reference = build_window(events, catalogue, known.to_pylist(), slates, start, middle)
        current = build_window(events, catalogue, known.to_pylist(), slates, middle, end)
        yield QuietPair(start, middle, end, _values(reference, current, params.split.test_days, young=start < mature))


def _values(reference: Window, current: Window, test_days: int, *, young: bool) -> dict[str, float]:
    """Every measure of one pair, the drop below an offline hit rate included; those of slates only where histories are no longer `young`."""
    measures = measure_windows(reference, current, {}).measures
    values = {measure.name: measure.value for measure in measures if measure.value is not None}
    # What an evaluation at the end of the reference window would have reported, against the current window by the same protocol.
    offline = reference.slates.first_hit_rate(reference.end - timedelta(days=test_days), test_days)
    live = current.slates.first_hit_rate(current.start, test_days)
    if offline is not None and live is not None:
        values["offline_hit_rate_drop"] = offline - live
    return {name: values[name] for name in TITLES if name in values and (not young or name not in SLATE_MEASURES)}


def draw_limits(pairs: Sequence[QuietPair]) -> dict[str, float]:
    """One limit a voting measure: MARGIN times its largest quiet value, rounded up to four decimals.

    A measure that never rose (a drop that was always a gain) gets the smallest limit, 0.0001.
    """
    names = [name for name in TITLES if name not in NON_VOTING and any(name in pair.values for pair in pairs)]
    largest = {name: max(pair.values[name] for pair in pairs if name in pair.values) for name in names}
    # The subtraction keeps a product that is exact in decimals from being rounded up by its last binary digit.
    return {name: max(math.ceil(value * MARGIN * 10_000 - 1e-6) / 10_000, 0.0001) for name, value in largest.items()}


def held_out_alarms(pairs: Sequence[QuietPair], name: str) -> float:
    """Share of pairs whose measure `name` is over the limit drawn from the pairs that share no day with them; 0 when no pair has such others."""
    judged = [(pair, others) for pair in pairs if (others := [other for other in pairs if not pair.shares_a_day(other)])]
    return sum(pair.values[name] > draw_limits(others)[name] for pair, others in judged) / max(len(judged), 1)
