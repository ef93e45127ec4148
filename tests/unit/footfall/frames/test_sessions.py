"""Sessions by the gap rule, by hand; and the same rule on arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.contracts import C
from footfall.core.sequences import Sequences
from footfall.frames.engine import Engine
from footfall.frames.sessions import GAP_US, SESSION, sessionize
from tests.unit.rows import day, events, user

ANN, BOB = sorted((user("ann"), user("bob")))
MINUTE = 1 / 1440


def sessions(engine: Engine, table: pa.Table, gap_us: int = GAP_US) -> pa.Table:
    """Events with their sessions, in the order of EVENTS."""
    return engine.run(sessionize(engine.frame(table), gap_us).order_by([C.USER_ID, C.OCCURRED_AT, C.EVENT_ID]))


def test_a_pause_longer_than_the_gap_begins_a_session_and_one_as_long_does_not(table_engine: Engine) -> None:
    moments = [day(1), day(1 + 30 * MINUTE), day(1 + 61 * MINUTE), day(1 + 62 * MINUTE)]
    table = events(*({"user_id": ANN, "occurred_at": moment} for moment in moments))

    assert sessions(table_engine, table).column(SESSION).to_pylist() == [1, 1, 2, 2]


def test_each_user_counts_from_one_and_no_pause_reaches_over_users(table_engine: Engine) -> None:
    rows = [(BOB, 1.0), (ANN, 1.0), (ANN, 2.0), (BOB, 1.001), (BOB, 3.0)]

    found = sessions(table_engine, events(*({"user_id": who, "occurred_at": day(when)} for who, when in rows)))

    assert found.select([C.USER_ID, SESSION]).to_pydict() == {C.USER_ID: [ANN, ANN, BOB, BOB, BOB], SESSION: [1, 2, 1, 1, 2]}
    assert found.schema.field(SESSION).type == pa.int32()


def test_nothing_else_of_an_event_changes(table_engine: Engine) -> None:
    table = events({"occurred_at": day(1), "query": "milk"}, {"occurred_at": day(2), "quantity": None})

    found = sessions(table_engine, table).drop([SESSION])

    assert found.equals(table_engine.run(table_engine.frame(table).order_by(C.EVENT_ID)))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.integers(0, 6)), max_size=30), st.integers(0, 3))
def test_arrays_know_the_same_sessions(duckdb: Engine, rows: list[tuple[str, int]], gap_days: int) -> None:
    table = events(*({"user_id": who, "occurred_at": day(when)} for who, when in rows))
    gap_us = gap_days * 86_400_000_000
    found = sessions(duckdb, table, gap_us)
    lengths = [pc.sum(pc.equal(found.column(C.USER_ID), who)).as_py() or 0 for who in (ANN, BOB)]
    moments = found.column(C.OCCURRED_AT).to_numpy()
    arrays = Sequences(np.zeros(len(moments), np.int32), np.zeros(len(moments), np.int8), moments, np.cumsum([0, *lengths]))

    starts = arrays.session_starts(gap_us)

    number = np.cumsum(starts) - np.repeat(np.concatenate([[0], np.cumsum(starts)])[arrays.offsets[:-1]], arrays.lengths)
    assert number.tolist() == found.column(SESSION).to_pylist()
