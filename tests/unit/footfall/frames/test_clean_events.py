"""Cleaning: one row an event, only the past, one order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.contracts import EVENTS, C
from footfall.frames.engine import Engine
from footfall.frames.events import canonical_events, interactions, without_users
from tests.unit.rows import catalogue, day, events, us, user

FOREVER = us(day(10_000))


def canonical(table_engine: Engine, table: pa.Table, as_of: int = FOREVER) -> pa.Table:
    """Canonical events of a table."""
    return EVENTS.check(table_engine.run(canonical_events(table_engine.frame(table), as_of)))


def test_an_event_that_came_by_two_doors_stays_once_as_it_was_received_first(table_engine: Engine) -> None:
    table = events(
        {"event_id": "e1", "occurred_at": day(1), "received_at": day(3), "origin": "shop"},
        {"event_id": "e1", "occurred_at": day(1), "received_at": day(2), "origin": "http"},
        {"event_id": "e2", "occurred_at": day(1), "received_at": day(1), "origin": "shop"},
        {"event_id": "e2", "occurred_at": day(1), "received_at": day(1), "origin": "http"},
    )

    rows = canonical(table_engine, table).select([C.EVENT_ID, C.ORIGIN]).to_pylist()

    assert rows == [{"event_id": "e1", "origin": "http"}, {"event_id": "e2", "origin": "http"}]


def test_nothing_that_occurred_at_as_of_or_later_is_read(table_engine: Engine) -> None:
    table = events({"occurred_at": day(1)}, {"occurred_at": day(2)}, {"occurred_at": day(3)})

    assert canonical(table_engine, table, us(day(2))).column(C.EVENT_ID).to_pylist() == ["e000"]


def test_every_column_comes_back_as_it_went_in(table_engine: Engine) -> None:
    table = events({"query": "牛奶", "rating": 4.5, "position": 3, "session_id": "s", "quantity": None})

    assert canonical(table_engine, table).equals(table)


@settings(max_examples=3)
@given(st.permutations(range(12)))
def test_the_order_of_arrival_does_not_show(table_engine: Engine, order: list[int]) -> None:
    table = events(*({"user_id": user("ab"[n % 2]), "occurred_at": day(n // 4), "event_id": f"e{n % 9}"} for n in range(12)))

    assert canonical(table_engine, table.take(pa.array(order))).equals(canonical(table_engine, table))


def test_an_interaction_is_an_event_with_an_item_that_may_be_recommended(table_engine: Engine) -> None:
    table = events({"item_id": "apple"}, {"item_id": "petrol"}, {"item_id": None, "event_type": "search"}, {"item_id": "gone"})
    shop = catalogue("apple", "pear", unrecommendable=("petrol",))

    kept = table_engine.run(interactions(table_engine.frame(table), table_engine.frame(shop)).order_by(C.EVENT_ID))

    assert kept.column(C.EVENT_ID).to_pylist() == ["e000"]


def test_who_refuses_is_left_out(table_engine: Engine) -> None:
    table = events({"user_id": user("ann")}, {"user_id": user("bob")})
    refusing = pa.table({C.USER_ID: [user("ann")]})

    kept = table_engine.run(without_users(table_engine.frame(table), table_engine.frame(refusing)).order_by(C.EVENT_ID))

    assert kept.column(C.EVENT_ID).to_pylist() == ["e001"]


def test_moments_are_microseconds_inside_a_frame(table_engine: Engine) -> None:
    assert table_engine.run(table_engine.frame(events({"occurred_at": day(1)}))).column(C.OCCURRED_AT).to_numpy().tolist() == [us(day(1))]
    assert table_engine.run(table_engine.frame(events({}))).column(C.OCCURRED_AT).to_numpy().dtype == np.int64
