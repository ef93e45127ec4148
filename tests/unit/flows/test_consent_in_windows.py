"""Who refuses to be analysed is in no monitoring window."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from flows.monitor import Spans, read_windows
from footfall.contracts import C
from footfall.manifest import write_manifest
from footfall.paths import Paths
from footfall.store import Engine, consent, events, exposures
from footfall.tables import write_parquet
from tests.unit.footfall.store.store_rows import NOON, event, events_table, slate
from tests.unit.rows import catalogue


def test_a_refusal_leaves_events_and_slates_out_of_both_windows(sqlite: Engine, tmp_path: object) -> None:
    paths = Paths(tmp_path)  # type: ignore[arg-type]
    write_parquet(paths.tables / "catalogue.parquet", catalogue("item-a"))
    write_manifest(paths.tables)
    events.append(sqlite, events_table(event("a"), event("b", user_id="u2"), event("c", 1)))
    anonymous = slate("r3", "i1").set_column(7, C.USER_ID, pa.nulls(1, pa.string()))
    for table in (slate("r1", "i1"), slate("r2", "i1").set_column(7, C.USER_ID, pa.array(["u2"])), anonymous):
        exposures.append(sqlite, table)
    span = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    whole = read_windows.fn(sqlite, paths, Spans(span, span))
    assert [table.num_rows for table in whole] == [3, 3, 1, 6]

    consent.say(sqlite, "u1", {"analyse": False}, recorded_at=NOON, source="support")
    reference, current, _, shown = read_windows.fn(sqlite, paths, Spans(span, span))
    assert reference.column(C.USER_ID).to_pylist() == current.column(C.USER_ID).to_pylist() == ["u2"]
    assert set(shown.column(C.USER_ID).to_pylist()) == {"u2", None}
