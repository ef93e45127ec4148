"""A window of shop behaviour as plain columns: the events of [start, end) joined with the catalogue and the vocabulary, and the slates shown in it.

Knows nothing of Evidently, of files and of the clock: everything is handed in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import PURCHASE, TIMESTAMP, C
from monitoring.outcomes import Slates, judge_slates

CATEGORY, LOG_PRICE, HOUR, IN_VOCABULARY, RECOMMENDABLE = "category", "log_price", "hour", "in_vocabulary", "recommendable"
UNKNOWN = "unknown"
_IMPRESSION = "impression"


@dataclass(frozen=True)
class Window:
    """What happened in [start, end).

    Attributes:
        start, end: UTC; `end` is not inside.
        events: a row an event (impressions left out: they are Footfall's doing, not the shop's) with columns item_id, category
            ("department > category"; "unknown" for an item that the catalogue lacks), log_price (natural logarithm of a purchase's
            unit price in minor units, null without one), hour ("00" to "23", UTC), recommendable and in_vocabulary.
        slates: the slates shown, with what their users bought next.
    """

    start: datetime
    end: datetime
    events: pa.Table
    slates: Slates

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.end - self.start).total_seconds() / 86400.0

    @property
    def name(self) -> str:
        """Both ends, for sentences and file names."""
        return f"{self.start:%Y-%m-%d}..{self.end:%Y-%m-%d}"


def build_window(
    events: pa.Table,
    catalogue: pa.Table,
    vocabulary: Collection[str],
    exposures: pa.Table | None,
    start: datetime,
    end: datetime,
) -> Window:
    """Join one window's parts.

    Args:
        events: EVENTS, in any order; rows outside [start, end) are left out.
        catalogue: CATALOGUE.
        vocabulary: the item_ids that the serving release can recommend.
        exposures: EXPOSURES or None; slates shown outside [start, end) are left out.
        start, end: UTC.
    """
    inside = _between(events, C.OCCURRED_AT, start, end)
    inside = inside.filter(pc.not_equal(inside[C.EVENT_TYPE], _IMPRESSION))
    position = pc.index_in(inside[C.ITEM_ID], value_set=catalogue[C.ITEM_ID].combine_chunks())
    recommendable = pc.fill_null(pc.take(catalogue[C.RECOMMENDABLE], position), True)
    joined = pa.table(
        {
            C.ITEM_ID: inside[C.ITEM_ID],
            CATEGORY: _categories(catalogue, position, inside[C.ITEM_ID]),
            LOG_PRICE: _log_unit_prices(inside, recommendable),
            HOUR: pc.strftime(inside[C.OCCURRED_AT], format="%H"),
            RECOMMENDABLE: recommendable,
            IN_VOCABULARY: pc.is_in(inside[C.ITEM_ID], value_set=pa.array(sorted(vocabulary), pa.string())),
        }
    )
    bought = inside.filter(pc.and_(pc.and_(pc.equal(inside[C.EVENT_TYPE], PURCHASE), pc.is_valid(inside[C.ITEM_ID])), recommendable))
    shown = None if exposures is None else _between(exposures, C.SHOWN_AT, start, end)
    return Window(start, end, joined, judge_slates(shown, bought))


def _between(table: pa.Table, column: str, start: datetime, end: datetime) -> pa.Table:
    moments = table[column]
    return table.filter(pc.and_(pc.greater_equal(moments, pa.scalar(start, TIMESTAMP)), pc.less(moments, pa.scalar(end, TIMESTAMP))))


def _categories(catalogue: pa.Table, position: pa.ChunkedArray, item_ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first two levels of each event's category path; null for an event without an item."""
    short = pa.array([" > ".join(path.split(" > ")[:2]) for path in catalogue[C.CATEGORY_PATH].to_pylist()], pa.string())
    known = pc.fill_null(pc.take(short, position), UNKNOWN)
    return pc.if_else(pc.is_valid(item_ids), known, pa.scalar(None, pa.string()))


def _log_unit_prices(events: pa.Table, recommendable: pa.ChunkedArray) -> pa.Array:
    """Natural logarithm of price_minor / quantity where a recommendable item was bought for more than nothing; null elsewhere.

    What is sold by volume (fuel) has quantities of another unit, so only recommendable items count.
    """
    price = events[C.PRICE_MINOR].cast(pa.float64()).to_numpy()
    quantity = pc.fill_null(events[C.QUANTITY], 1).cast(pa.float64()).to_numpy()
    usable = pc.and_(pc.equal(events[C.EVENT_TYPE], PURCHASE), recommendable).to_numpy() & (price > 0) & (quantity > 0)
    logs = np.full(len(price), np.nan)
    logs[usable] = np.log(price[usable] / quantity[usable])
    return pa.array(logs, mask=~usable)
