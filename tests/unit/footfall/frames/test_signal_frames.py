"""Searches and durations on either engine, by hand."""

from __future__ import annotations

import pyarrow as pa

from footfall.contracts import C
from footfall.frames.engine import Engine
from footfall.frames.sequences import sequences
from footfall.stages.signals import find_signals, with_codes
from tests.unit.rows import day, events, us, user

ANN, BOB = sorted((user("ann"), user("bob")))
KNOWN = pa.table({C.ITEM_INDEX: pa.array([1], pa.int32()), C.ITEM_ID: ["apple"]})
ROWS = [
    {C.USER_ID: ANN, C.ITEM_ID: None, C.EVENT_TYPE: "search", C.OCCURRED_AT: day(1), C.QUERY: "Tea"},
    {C.USER_ID: ANN, C.EVENT_TYPE: "view", C.OCCURRED_AT: day(2), C.DURATION_S: 3.0},
    {C.USER_ID: BOB, C.ITEM_ID: None, C.EVENT_TYPE: "search", C.OCCURRED_AT: day(3), C.QUERY: "tea "},
    {C.USER_ID: BOB, C.ITEM_ID: None, C.EVENT_TYPE: "search", C.OCCURRED_AT: day(4), C.QUERY: "soap"},
    {C.USER_ID: BOB, C.OCCURRED_AT: day(5)},
]


def test_both_engines_find_and_keep_the_same_signals(table_engine: Engine) -> None:
    table = table_engine.frame(events(*ROWS))
    found = find_signals(table_engine, table, us(day(10)), 2)
    assert found.queries is not None
    assert found.texts is not None
    assert found.queries.item_ids == ("tea",)
    assert found.texts.to_pylist() == [{"query": "Tea", "query_index": 1}, {"query": "soap", "query_index": 0}, {"query": "tea ", "query_index": 1}]
    assert found.arrays == ["query_index", "duration"]

    expression = sequences(table, table_engine.frame(KNOWN), table_engine.frame(found.texts), durations=True)
    rows = pa.Table.from_batches(with_codes(table_engine.batches(expression)))
    assert rows.select(["item_index", "query_index", "duration"]).to_pydict() == {
        "item_index": [0, 1, 0, 0, 1],
        "query_index": [1, 0, 1, 0, 0],
        "duration": [0, 3, 0, 0, 0],
    }


def test_what_only_lies_after_the_cut_is_no_signal(table_engine: Engine) -> None:
    found = find_signals(table_engine, table_engine.frame(events(*ROWS)), us(day(1)), 1)
    assert (found.queries, found.texts, found.durations, found.arrays) == (None, None, False, [])
