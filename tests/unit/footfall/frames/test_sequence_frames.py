"""Vocabulary, sequences and targets, by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES, C
from footfall.frames.engine import Engine
from footfall.frames.sequences import first_basket_targets, sequences, vocabulary
from tests.unit.rows import day, events, us, user

ANN, BOB = sorted((user("ann"), user("bob")))
KNOWN = pa.table({C.ITEM_INDEX: pa.array([1, 2], pa.int32()), C.ITEM_ID: ["apple", "pear"]})


def buy(who: str, what: str, when: datetime, basket: str | None = None, **more: Any) -> dict[str, Any]:
    """One purchase."""
    return {"user_id": who, "item_id": what, "occurred_at": when, "session_id": basket} | more


def targets(table_engine: Engine, *rows: dict[str, Any], start: float = 10, end: float = 20) -> list[tuple[str, str, int]]:
    """Targets as (user, item, index)."""
    found = table_engine.run(first_basket_targets(table_engine.frame(events(*rows)), table_engine.frame(KNOWN), us(day(start)), us(day(end))))
    return [(row[C.USER_ID], row[C.ITEM_ID], row[C.ITEM_INDEX]) for row in found.to_pylist()]


def test_the_vocabulary_counts_purchases_before_the_cut_alone(table_engine: Engine) -> None:
    rows = [buy(ANN, "pear", day(1)), buy(ANN, "pear", day(2)), buy(BOB, "apple", day(1)), buy(BOB, "apple", day(3))]
    rows += [buy(ANN, "fig", day(1)), buy(ANN, "fig", day(10)), buy(BOB, "kiwi", day(1), event_type="view"), buy(BOB, "kiwi", day(2))]

    known = table_engine.run(vocabulary(table_engine.frame(events(*rows)), us(day(10)), 2))

    assert known.to_pylist() == [{"item_index": 1, "item_id": "apple"}, {"item_index": 2, "item_id": "pear"}]


def test_sequences_keep_every_event_in_order_and_call_the_unknown_zero(table_engine: Engine) -> None:
    rows = [
        buy(BOB, "pear", day(1)),
        buy(ANN, "gone", day(3)),
        buy(ANN, "apple", day(2), event_type="view"),
        {"user_id": ANN, "item_id": None, "occurred_at": day(1), "event_type": "search"},
    ]

    found = table_engine.run(sequences(table_engine.frame(events(*rows)), table_engine.frame(KNOWN)))

    assert found.column(C.USER_ID).to_pylist() == [ANN, ANN, ANN, BOB]
    assert found.column(C.ITEM_INDEX).to_pylist() == [0, 1, 0, 2]
    assert [EVENT_TYPES[code] for code in found.column(C.EVENT_TYPE).to_pylist()] == ["search", "view", "purchase", "purchase"]
    assert (found.column(C.ITEM_INDEX).type, found.column(C.EVENT_TYPE).type) == (pa.int32(), pa.int8())


@settings(max_examples=3)
@given(st.permutations(range(6)))
def test_events_of_one_moment_come_in_the_order_of_their_ids(table_engine: Engine, order: list[int]) -> None:
    table = events(*(buy(ANN, "apple" if n % 2 else "pear", day(1)) for n in range(6)))

    found = table_engine.run(sequences(table_engine.frame(table.take(pa.array(order))), table_engine.frame(KNOWN)))

    assert found.column(C.ITEM_INDEX).to_pylist() == [2, 1, 2, 1, 2, 1]


def test_targets_are_the_distinct_items_of_the_first_basket_in_the_window(table_engine: Engine) -> None:
    rows = [buy(ANN, "fig", day(5), "old"), buy(ANN, "pear", day(11), "first"), buy(ANN, "fig", day(11), "first")]
    rows += [buy(ANN, "pear", day(11), "first"), buy(ANN, "apple", day(12), "second")]

    assert targets(table_engine, *rows) == [(ANN, "fig", 0), (ANN, "pear", 2)]


def test_users_without_history_before_the_window_are_not_asked_for(table_engine: Engine) -> None:
    assert targets(table_engine, buy(ANN, "apple", day(10)), buy(ANN, "apple", day(12)), buy(BOB, "apple", day(9.9)), buy(BOB, "pear", day(10))) == [
        (BOB, "pear", 2)
    ]


def test_a_view_is_history_but_no_target(table_engine: Engine) -> None:
    rows = [buy(ANN, "apple", day(5), event_type="view"), buy(ANN, "apple", day(11), "b", event_type="view"), buy(ANN, "pear", day(12), "b")]

    assert targets(table_engine, *rows) == [(ANN, "pear", 2)]


def test_without_a_session_a_basket_is_what_was_bought_at_one_moment(table_engine: Engine) -> None:
    rows = [buy(ANN, "fig", day(5)), buy(ANN, "apple", day(11)), buy(ANN, "pear", day(11)), buy(ANN, "fig", day(12))]

    assert targets(table_engine, *rows) == [(ANN, "apple", 1), (ANN, "pear", 2)]


def test_the_window_holds_its_start_and_not_its_end(table_engine: Engine) -> None:
    history = [buy(ANN, "fig", day(1)), buy(BOB, "fig", day(1))]

    assert targets(table_engine, *history, buy(ANN, "pear", day(10)), buy(BOB, "pear", day(20))) == [(ANN, "pear", 2)]
