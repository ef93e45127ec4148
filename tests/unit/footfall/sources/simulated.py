"""Small simulated shops for tests, and the figures that drifts are known by."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footfall.contracts import C
from footfall.pseudonyms import DEMO_KEY
from footfall.sources import open_source
from footfall.sources.simulator import Simulator

BEGIN, DRIFT_AT, END = (datetime(2021, month, 1, tzinfo=UTC) for month in (1, 3, 5))
DRIFTS = ("taste_shift", "assortment_change", "price_rise", "bot_traffic", "click_farm", "tracking_bug")


@lru_cache(maxsize=16)
def shop(drift: str | None = None, options: str = "users=250,items=400,end=2021-05-01") -> Simulator:
    """Four months of a small shop, with or without a drift that begins half-way."""
    opened = open_source(f"simulator:{options}" + (f",drift={drift}@{DRIFT_AT:%Y-%m-%d}" if drift else ""), DEMO_KEY)
    assert isinstance(opened, Simulator)
    return opened


@lru_cache(maxsize=16)
def events(drift: str | None = None) -> pa.Table:
    """All events of that shop."""
    return between(shop(drift), None, END)


def between(simulator: Simulator, since: datetime | None, until: datetime) -> pa.Table:
    """All events of a span, in the order of months, then of EVENTS."""
    return pa.concat_tables([table for _, table in simulator.events(since, until)])


def of(table: pa.Table, event_type: str) -> pa.Table:
    """The events of one type."""
    return table.filter(pc.equal(table.column(C.EVENT_TYPE), event_type))


def since(table: pa.Table, moment: datetime) -> pa.Table:
    """The events from a moment on."""
    return table.filter(pc.greater_equal(table.column(C.OCCURRED_AT), moment))


def by_people(drift: str | None, table: pa.Table) -> pa.Table:
    """The events of those who truly are people."""
    truth = shop(drift).truth.users()
    people = truth.filter(pc.equal(truth.column("kind"), "person")).column(C.USER_ID)
    return table.filter(pc.is_in(table.column(C.USER_ID), value_set=people.combine_chunks()))


def figures(drift: str | None) -> dict[str, float]:
    """From the drift's day on, the figure by which each drift is known; the first two are distances to the shop without one."""
    table, plain = since(events(drift), DRIFT_AT), since(events(), DRIFT_AT)
    catalogue = shop(drift).catalogue()
    views = of(table, "view")
    known = set(shop().catalogue().column(C.ITEM_ID).to_pylist())
    viewed = views.column(C.ITEM_ID).to_pylist()
    return {
        "taste_shift": _distance(_categories(by_people(drift, views)), _categories(of(plain, "view"))),
        "assortment_change": float(np.mean([item not in known for item in viewed])),
        "price_rise": _price_level(of(table, "purchase"), catalogue),
        "bot_traffic": _share_of_busy_days(views),
        "click_farm": _share_of_hearsay(of(table, "review"), of(events(drift), "purchase")),
        "tracking_bug": views.column(C.DURATION_S).null_count / views.num_rows,
    }


def _categories(views: pa.Table) -> dict[str, float]:
    catalogue = shop("assortment_change").catalogue()
    path = dict(zip(catalogue.column(C.ITEM_ID).to_pylist(), catalogue.column(C.CATEGORY_PATH).to_pylist(), strict=True))
    found = [path[item].split(" > ")[0] for item in views.column(C.ITEM_ID).to_pylist()]
    names, counts = np.unique([name for name in found if "Wellness" not in name], return_counts=True)
    return dict(zip(names.tolist(), (counts / counts.sum()).tolist(), strict=True))


def _distance(left: dict[str, float], right: dict[str, float]) -> float:
    """Total variation, 0 to 1."""
    return 0.5 * sum(abs(left.get(name, 0.0) - right.get(name, 0.0)) for name in {*left, *right})


def _price_level(purchases: pa.Table, catalogue: pa.Table) -> float:
    listed = dict(zip(catalogue.column(C.ITEM_ID).to_pylist(), catalogue.column(C.PRICE_MINOR).to_pylist(), strict=True))
    rows = purchases.select([C.ITEM_ID, C.PRICE_MINOR, C.QUANTITY]).to_pylist()
    return float(np.mean([row[C.PRICE_MINOR] / row[C.QUANTITY] / listed[row[C.ITEM_ID]] for row in rows]))


def _share_of_busy_days(views: pa.Table) -> float:
    """Part of the views on days on which their user viewed more than sixty items."""
    days = pc.floor_temporal(views.column(C.OCCURRED_AT), unit="day")
    counts = pa.table({"user": views.column(C.USER_ID), "day": days}).group_by(["user", "day"]).aggregate([([], "count_all")])["count_all"].to_numpy()
    return float(counts[counts > 60].sum() / counts.sum())


def _share_of_hearsay(reviews: pa.Table, purchases: pa.Table) -> float:
    """Part of the reviews whose user has not bought the item."""
    bought = set(zip(purchases.column(C.USER_ID).to_pylist(), purchases.column(C.ITEM_ID).to_pylist(), strict=True))
    pairs = list(zip(reviews.column(C.USER_ID).to_pylist(), reviews.column(C.ITEM_ID).to_pylist(), strict=True))
    return sum(pair not in bought for pair in pairs) / len(pairs)
