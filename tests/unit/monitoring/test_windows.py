"""A window joins events, catalogue and vocabulary: known answers by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from footfall.contracts import CATALOGUE, EVENTS, PURCHASE, C
from monitoring.windows import CATEGORY, HOUR, IN_VOCABULARY, LOG_PRICE, RECOMMENDABLE, build_window

DAY = datetime(2026, 3, 2, tzinfo=UTC)
ITEM = {C.TITLE: "", C.ATTRIBUTES: "{}", C.AVAILABLE: True}
SHOP = pa.Table.from_pylist(
    [
        {C.ITEM_ID: "tea", C.CATEGORY_PATH: "FOOD > DRINKS > GREEN", C.RECOMMENDABLE: True} | ITEM,
        {C.ITEM_ID: "fuel", C.CATEGORY_PATH: "FUEL", C.RECOMMENDABLE: False} | ITEM,
    ],
    CATALOGUE.schema,
)


def events(*rows: dict[str, object]) -> pa.Table:
    common = {C.USER_ID: "u", C.EVENT_TYPE: PURCHASE, C.OCCURRED_AT: DAY, C.RECEIVED_AT: DAY, C.ORIGIN: "test"}
    return pa.Table.from_pylist([common | {C.EVENT_ID: str(number)} | row for number, row in enumerate(rows)], EVENTS.schema)


def test_events_meet_catalogue_and_vocabulary() -> None:
    table = events(
        {C.ITEM_ID: "tea", C.PRICE_MINOR: 600, C.QUANTITY: 2, C.OCCURRED_AT: DAY + timedelta(hours=13)},
        {C.ITEM_ID: "fuel", C.PRICE_MINOR: 3000, C.QUANTITY: 9000},
        {C.ITEM_ID: "gone", C.PRICE_MINOR: 0, C.QUANTITY: 1},
        {C.ITEM_ID: "tea", C.EVENT_TYPE: "view", C.PRICE_MINOR: 300},
        {C.EVENT_TYPE: "search"},
    )
    joined = build_window(table, SHOP, ["tea"], None, DAY, DAY + timedelta(days=1)).events.to_pydict()
    assert joined[CATEGORY] == ["FOOD > DRINKS", "FUEL", "unknown", "FOOD > DRINKS", None]
    assert joined[LOG_PRICE] == [np.log(300.0), None, None, None, None]
    assert joined[HOUR] == ["13", "00", "00", "00", "00"]
    assert joined[RECOMMENDABLE] == [True, False, True, True, True]
    assert joined[IN_VOCABULARY] == [True, False, False, True, False]


def test_the_end_of_a_window_and_impressions_are_outside() -> None:
    table = events(
        {C.OCCURRED_AT: DAY},
        {C.OCCURRED_AT: DAY, C.EVENT_TYPE: "impression"},
        {C.OCCURRED_AT: DAY - timedelta(microseconds=1)},
        {C.OCCURRED_AT: DAY + timedelta(days=1)},
    )
    window = build_window(table, SHOP, [], None, DAY, DAY + timedelta(days=1))
    assert window.events.num_rows == 1
    assert window.days == 1.0
    assert window.name == "2026-03-02..2026-03-03"
