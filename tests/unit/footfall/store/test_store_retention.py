"""Retention: whole months go, what no raw batch holds stays, and the room is given back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.store import Engine, events, exposures
from footfall.store.retention import Dropped, drop_before, droppable, first_kept
from tests.unit.footfall.store.store_rows import MINUTE, NOON, event, events_table, slate

DAY = 24 * 60
OCTOBER, NOVEMBER, DECEMBER = date(2017, 10, 1), date(2017, 11, 1), date(2017, 12, 1)


def everything(_batch_id: str) -> bool:
    return True


def ids(engine: Engine) -> list[str]:
    return events.window(engine, NOON - timedelta(days=999), NOON + timedelta(days=999)).column("event_id").to_pylist()


def at_the_turn_of_the_month() -> pa.Table:
    """One event at the last microsecond of October, one at the first of November."""
    turn = (datetime(2017, 11, 1, tzinfo=UTC) - NOON) / MINUTE
    return events_table(event("september", -50 * DAY), event("october", turn - 1e-6 / 60), event("november", turn), event("noon"))


def test_whole_months_go_and_are_counted_by_month(engine: Engine) -> None:
    events.append(engine, at_the_turn_of_the_month())
    exposures.append(engine, pa.concat_tables([slate("old", "a", "b", minutes=-40 * DAY), slate("new", "a")]))
    foretold = droppable(engine, NOVEMBER, everything)
    assert (foretold.events, foretold.exposures, foretold.kept) == ({"2017-09": 1, "2017-10": 1}, {"2017-09": 2}, 0)
    assert len(ids(engine)) == 4

    gone = drop_before(engine, NOVEMBER, everything)

    assert (gone.events, gone.exposures, gone.kept) == (foretold.events, foretold.exposures, foretold.kept)
    assert ids(engine) == ["november", "noon"]
    assert exposures.count_slates(engine) == 1
    assert drop_before(engine, NOVEMBER, everything) == Dropped()


def test_an_event_that_no_raw_batch_holds_is_never_dropped(engine: Engine) -> None:
    rows = {"waiting": 0, "claimed": -1, "exported": -2, "held": -3}
    events.append(engine, events_table(*[event(name, days * DAY, origin="http") for name, days in rows.items() if name != "waiting"], event("shop")))
    for batch_id, _ in events.claim_export(engine, NOON + timedelta(days=1)):
        if batch_id != "live-2017-11-02":
            events.mark_exported(engine, batch_id)
    events.append(engine, events_table(event("waiting", origin="http")))

    gone = drop_before(engine, DECEMBER, lambda batch_id: batch_id != "live-2017-10-31")

    assert (gone.events, gone.kept) == ({"2017-11": 2}, 3)
    assert sorted(ids(engine)) == ["claimed", "held", "waiting"]
    assert droppable(engine, DECEMBER, everything).kept == 2
    assert [batch_id for batch_id, _ in events.claim_export(engine, NOON + timedelta(days=1))] == ["live-2017-11-02", "live-2017-11-03"]


def test_what_was_withdrawn_goes_with_its_reason(engine: Engine) -> None:
    events.append(engine, events_table(event("old", -40 * DAY), event("new")))
    events.withdraw(engine, ["old", "new"], "test")

    assert drop_before(engine, NOVEMBER, everything).events == {"2017-09": 1}

    assert events.withdrawn(engine) == {"test": 1}


def test_more_than_one_transaction_of_rows_goes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("footfall.store.retention._CHUNK", 7)
    events.append(engine, events_table(*[event(f"e{n:02d}", n * DAY) for n in range(60)]))

    assert drop_before(engine, date(2018, 1, 1), everything).events == {"2017-11": 28, "2017-12": 31}

    assert ids(engine) == ["e59"]


def test_an_sqlite_file_gives_its_room_back(sqlite: Engine) -> None:
    path = Path(str(sqlite.url.database))
    events.append(sqlite, events_table(*[event(f"e{n:05d}", -50 * DAY, text="x" * 200) for n in range(6000)], event("new")))
    with sqlite.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    gone = drop_before(sqlite, NOVEMBER, everything)

    assert gone.bytes_freed > 0.9 * pages * 4096
    assert path.stat().st_size == pages * 4096 - gone.bytes_freed
    assert ids(sqlite) == ["new"]


@pytest.mark.parametrize(
    ("today", "months", "first"),
    [
        (date(2026, 11, 22), 1, date(2026, 10, 1)),
        (date(2026, 11, 1), 10, date(2026, 1, 1)),
        (date(2026, 11, 30), 11, date(2025, 12, 1)),
        (date(2024, 2, 29), 12, date(2023, 2, 1)),
        (date(2026, 1, 31), 25, date(2023, 12, 1)),
    ],
)
def test_months_are_counted_back_from_the_present_one(today: date, months: int, first: date) -> None:
    assert first_kept(today, months) == first


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(1, 200))
def test_one_month_more_begins_one_month_earlier(today: date, months: int) -> None:
    assert (first_kept(today, months) - timedelta(days=1)).replace(day=1) == first_kept(today, months + 1)
