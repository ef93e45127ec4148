"""How fast the simulator makes events: numbers, words, the Arrow table in the contract's order, and the contract's check, one month after another."""

from __future__ import annotations

import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.race import Row, write_race
from footfall.pseudonyms import DEMO_KEY
from footfall.sources.simulator import Simulator, read_scenario

TARGET = 200_000
UNTIL = datetime(2022, 1, 1, tzinfo=UTC)
MILLION, TEN_MILLION = "simulator:users=3000,items=2000", "simulator:users=31000,items=10000"
ALL_DRIFTS = MILLION + "".join(
    f",drift={name}@2021-07-01" for name in ("taste_shift", "assortment_change", "price_rise", "bot_traffic", "click_farm", "tracking_bug")
)


def run(root: Path, full: bool) -> Path:
    """Simulate a year of about a million events three times, with every drift as well; with `full` also one of ten million."""
    rows = [_race("a year of a shop", MILLION, 3), _race("the same with all drifts from July on", ALL_DRIFTS, 3)]
    if full:
        rows.append(_race("a year of a large shop", TEN_MILLION, 1))
    return write_race(root, "simulator", rows, ["numpy", "pyarrow"])


def _race(what: str, word: str, repeats: int) -> Row:
    """Events a second, the making of the shop and of the users' pseudonyms included."""
    rates, events = [], 0
    for _ in range(repeats):
        begun, events = time.perf_counter(), 0
        for _, table in Simulator(DEMO_KEY, read_scenario(word)).events(None, UNTIL):
            events += table.num_rows
        rates.append(events / (time.perf_counter() - begun))
    notes = {"scenario": word, "slowest": round(min(rates)), "fastest": round(max(rates)), "peak_mib": _peak_mib()}
    return Row(f"{what}, {events:,} events, as EVENTS tables", "events/s", round(median(rates)), target=TARGET, notes=notes)


def _peak_mib() -> float:
    """The most memory that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
