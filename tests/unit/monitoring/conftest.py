"""A tiny synthetic shop whose windows can be shifted in one respect at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from footfall.contracts import CATALOGUE, EVENTS, EXPOSURES, PURCHASE, TIMESTAMP, C
from monitoring.windows import Window, build_window

START = datetime(2026, 3, 2, tzinfo=UTC)
MIDDLE, END = START + timedelta(days=14), START + timedelta(days=28)
ITEMS = tuple(f"i{number:02d}" for number in range(40))


@dataclass(frozen=True)
class Habits:
    """How a synthetic window is drawn; the defaults are quiet."""

    events: int = 2000
    first_hour: int = 9
    price: float = 200.0
    item_weights: tuple[float, ...] = field(default=tuple(1.0 / (1 + number) for number in range(len(ITEMS))))
    slates: bool = False
    release: str = "r1"
    score: float = 1.0
    hit: float = 0.5


def text(prefix: str, values: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix}{value}" for value in values], pa.string())


def draw_catalogue() -> pa.Table:
    """Forty items in eight categories; the last one is sold by volume."""
    rows = [
        {C.ITEM_ID: item, C.TITLE: item, C.CATEGORY_PATH: f"FOOD > C{number % 8} > T{number}", C.ATTRIBUTES: "{}", C.AVAILABLE: True}
        | {C.RECOMMENDABLE: number != len(ITEMS) - 1}
        for number, item in enumerate(ITEMS)
    ]
    return pa.Table.from_pylist(rows, CATALOGUE.schema)


def draw_events(habits: Habits, start: datetime, seed: int) -> pa.Table:
    """Purchases spread over the 14 days from `start`, one basket an event."""
    rng = np.random.default_rng(seed)
    weights = np.array(habits.item_weights) / sum(habits.item_weights)
    day, hour = rng.integers(0, 14, habits.events), habits.first_hour + rng.integers(0, 8, habits.events)
    moment = int(start.timestamp()) + day * 86400 + hour * 3600 + rng.integers(0, 3600, habits.events)
    number = np.arange(habits.events)
    occurred = pa.array(moment * 1_000_000).cast(TIMESTAMP)
    columns = {
        C.EVENT_ID: text(f"{seed}-", number),
        C.USER_ID: text("u", rng.integers(0, 200, habits.events)),
        C.SESSION_ID: text("s", number),
        C.ITEM_ID: pa.array(rng.choice(ITEMS, habits.events, p=weights)),
        C.EVENT_TYPE: pa.repeat(PURCHASE, habits.events),
        C.OCCURRED_AT: occurred,
        C.RECEIVED_AT: occurred,
        C.QUANTITY: pa.repeat(1, habits.events),
        C.PRICE_MINOR: pa.array(np.exp(rng.normal(np.log(habits.price), 0.5, habits.events)).astype(np.int64) + 1),
        C.ORIGIN: pa.repeat("test", habits.events),
    }
    return EVENTS.check(pa.table(columns))


def draw_slates(habits: Habits, events: pa.Table, seed: int) -> pa.Table:
    """One slate of one item a basket, which holds what was bought with probability `habits.hit`."""
    rng = np.random.default_rng(seed)
    hit = rng.random(events.num_rows) < habits.hit
    shown = [item if good else "nothing" for item, good in zip(events[C.ITEM_ID].to_pylist(), hit, strict=True)]
    rows = [
        {C.REQUEST_ID: f"{seed}-{number}", C.POSITION: 1, C.ITEM_ID: item, C.SCORE: score, C.PROPENSITY: 1.0, C.POLICY: "fused", C.REASON: ""}
        | {C.USER_ID: user, C.SHOWN_AT: moment, C.RELEASE: habits.release, C.ARM: "champion"}
        for number, (item, score, user, moment) in enumerate(
            zip(shown, rng.normal(habits.score, 0.2, len(shown)), events[C.USER_ID].to_pylist(), events[C.OCCURRED_AT].to_pylist(), strict=True)
        )
    ]
    return pa.Table.from_pylist(rows, EXPOSURES.schema)


def draw_window(habits: Habits, start: datetime, seed: int, vocabulary: tuple[str, ...] = ITEMS[:30]) -> Window:
    """A whole window of 14 days."""
    events = draw_events(habits, start, seed)
    slates = draw_slates(habits, events, seed) if habits.slates else None
    return build_window(events, draw_catalogue(), vocabulary, slates, start, start + timedelta(days=14))


@pytest.fixture(scope="session")
def draw() -> Callable[..., tuple[Window, Window]]:
    """Draw a (reference, current) pair; keywords are the current window's habits, `before` the reference's own."""

    def pair(before: Habits | None = None, **habits: object) -> tuple[Window, Window]:
        reference = before or Habits(slates=bool(habits.get("slates", False)))
        return draw_window(reference, START, 1), draw_window(Habits(**habits), MIDDLE, 2)  # type: ignore[arg-type]

    return pair
