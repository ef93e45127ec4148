from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from footfall.store import Engine, events, exposures
from footfall.store.rows import to_rows
from footfall.store.together import write_together
from tests.unit.footfall.store.store_rows import MINUTE, NOON, event, events_table, slate


def test_slates_come_back_as_they_were_shown(engine: Engine) -> None:
    table = pa.concat_tables([slate("q1", "a", "b"), slate("q2", "c", minutes=1)])
    exposures.append(engine, table)
    exposures.append(engine, table)
    assert exposures.window(engine, NOON, NOON + 2 * MINUTE).equals(table.combine_chunks())
    assert exposures.window(engine, NOON, NOON + MINUTE).num_rows == 2


def test_slates_are_counted_by_release(engine: Engine) -> None:
    exposures.append(engine, pa.concat_tables([slate("q1", "a", "b"), slate("q2", "c"), slate("q3", "c", release="r2")]))
    assert (exposures.count_slates(engine), exposures.count_slates(engine, "r2")) == (3, 1)


def test_events_and_slates_of_many_requests_are_written_together(engine: Engine) -> None:
    names = events_table(event("a")).column_names
    requests = [to_rows(events_table(event("a"), event("b")), names), to_rows(events_table(event("b"), event("c")), names)]
    shown = to_rows(slate("q1", "x", "y"), slate("q1", "x").column_names)
    appended = write_together(engine, requests, shown)
    assert [(one.accepted, one.duplicates) for one in appended] == [(2, []), (1, ["b"])]
    assert events.window(engine, NOON, NOON + timedelta(1)).column("event_id").to_pylist() == ["a", "b", "c"]
    assert exposures.window(engine, NOON, NOON + MINUTE).equals(slate("q1", "x", "y"))
    assert write_together(engine, [], shown) == []
