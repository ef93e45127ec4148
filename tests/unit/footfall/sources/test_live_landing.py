"""Live events become raw batches exactly once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from footfall import store
from footfall.contracts import C
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sources import landing, live
from footfall.store import erasures
from footfall.store import events as event_store
from footfall.tables import read_parquet
from tests.trials import Trial
from tests.unit.rows import day, events

CHECKOUT = Path(__file__).parents[4]
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


EXPORT = """
import sys
from pathlib import Path
from footfall import store
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sources import landing, live
from tests.unit.rows import day
paths, engine = Paths(Path(sys.argv[1])), store.open_store(f"sqlite:///{sys.argv[1]}/store.db")
print("ready", flush=True)
for batch in live.land_live(paths, engine, day(900)):
    if not batch.landed:
        rows = landing.read_candidate(batch)
        landing.accept(paths, batch, rows, Verdict(batch.batch_id, "events", "pass", rows.num_rows, {}, []))
    live.finish(engine, batch)
"""
"""What the ingest flow does with live events, without the gate."""


@pytest.mark.trial
def test_whatever_moment_an_export_is_killed_at_every_event_is_in_one_batch_once(tmp_path: Path, trial: Trial) -> None:
    kills, draw, known = trial.count(small=2, stated=50), random.Random(11), 0
    engine = store.open_store(f"sqlite:///{tmp_path / 'store.db'}")
    for _ in range(kills):
        rows = [{"event_id": f"k{known + number:06d}", "origin": "http", "occurred_at": day(number % 20)} for number in range(200)]
        event_store.append(engine, events(*rows))
        known += len(rows)
        export = start_export(tmp_path)
        time.sleep(draw.uniform(0, 0.4))
        export.kill()
        export.communicate()
    last = start_export(tmp_path)
    last.communicate()
    engine.dispose()

    assert last.returncode == 0
    paths = Paths(tmp_path)
    landed = [read_parquet(folder / landing.ROWS, (C.EVENT_ID,)).column(C.EVENT_ID).to_pylist() for folder in landing.list_batches(paths, "events")]
    assert sorted(event_id for batch in landed for event_id in batch) == [f"k{number:06d}" for number in range(known)]
    for folder in landing.list_batches(paths, "events"):
        landing.check_batch(folder)
    trial.note(kills=kills, events=known, lost=0, twice=0)


def start_export(root: Path) -> subprocess.Popen[str]:
    """An export as a process of its own, about to begin."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)])}
    process = subprocess.Popen([sys.executable, "-c", EXPORT, str(root)], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_claimed_batch_whose_users_were_all_erased_is_done(engine: Engine, tmp_path: Path) -> None:
    users = set(TABLE.column(C.USER_ID).to_pylist())
    end = max(TABLE.column(C.OCCURRED_AT).to_pylist()) + timedelta(days=1)
    assert live.land_live(Paths(tmp_path), engine, end)
    for user in users:
        erasures.begin(engine, user, end)
    assert live.land_live(Paths(tmp_path), engine, end) == []
    assert event_store.claim_export(engine, end) == []
