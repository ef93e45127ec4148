"""Live events become raw batches exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from footfall import store
from footfall.contracts import C
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sources import landing, live
from footfall.store import events as event_store
from tests.unit.rows import day, events

TABLE = events({"origin": "http"}, {"origin": "http"}, {"origin": "shop"})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A live store with two events that came by HTTP and one that did not."""
    engine = store.open_store(f"sqlite:///{tmp_path / 'store.db'}")
    event_store.append(engine, TABLE)
    yield engine
    engine.dispose()


def accept(paths: Paths, batch: landing.Batch) -> None:
    """Accept a batch whole."""
    rows = landing.read_candidate(batch)
    landing.accept(paths, batch, rows, Verdict(batch.batch_id, "events", "pass", rows.num_rows, {}, []))


def test_only_events_that_came_by_http_are_landed_a_batch_a_day(tmp_path: Path, engine: Engine) -> None:
    batches = live.land_live(Paths(tmp_path), engine, day(900))

    assert [(batch.batch_id, batch.origin) for batch in batches] == [("live-2017-03-01", "http"), ("live-2017-03-02", "http")]
    assert [landing.read_candidate(batch).column(C.EVENT_ID).to_pylist() for batch in batches] == [["e000"], ["e001"]]


def test_a_finished_batch_is_not_landed_again(tmp_path: Path, engine: Engine) -> None:
    paths = Paths(tmp_path)
    for batch in live.land_live(paths, engine, day(900)):
        accept(paths, batch)
        live.finish(engine, batch)

    assert live.land_live(paths, engine, day(900)) == []


def test_after_a_kill_before_the_mark_the_same_rows_come_again_and_change_nothing(tmp_path: Path, engine: Engine) -> None:
    paths = Paths(tmp_path)
    first, _ = live.land_live(paths, engine, day(900))
    accept(paths, first)

    again, waiting = live.land_live(paths, engine, day(900))

    assert (again.batch_id, again.landed) == (first.batch_id, True)
    assert not waiting.landed
    assert len(landing.list_batches(paths, "events")) == 1


def test_events_after_the_moment_asked_for_wait(tmp_path: Path, engine: Engine) -> None:
    (batch,) = live.land_live(Paths(tmp_path), engine, day(1))

    assert batch.batch_id == "live-2017-03-01"
