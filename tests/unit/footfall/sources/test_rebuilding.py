"""A store that is lost comes back from the raw batches: the same histories, no event on its way to a second batch, no refusal forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from footfall.documents import Verdict
from footfall.errors import SourceError
from footfall.paths import Paths
from footfall.sources import landing, live
from footfall.sources.rebuilding import Rebuilt, rebuild
from footfall.store import Engine, consent, events, open_store
from tests.unit.rows import day, user, users
from tests.unit.rows import events as event_rows

ANN, BOB, EVE = user("ann"), user("bob"), user("eve")
LATER = day(200)


def accept(paths: Paths, contract: str, batch_id: str, table: pa.Table) -> None:
    batch = landing.land(paths, contract, batch_id, table)
    landing.accept(paths, batch, table, Verdict(batch_id, contract, "pass", table.num_rows, {}, []))


def export(paths: Paths, engine: Engine, *, hold: tuple[str, ...] = ()) -> list[str]:
    """What an ingest does with live events, without the gate."""
    batches = live.land_live(paths, engine, LATER)
    for batch in batches:
        rows = landing.read_candidate(batch)
        verdict = Verdict(batch.batch_id, "events", "hold" if batch.batch_id in hold else "pass", rows.num_rows, {}, [])
        if batch.batch_id in hold:
            landing.hold(paths, batch, verdict)
        else:
            landing.accept(paths, batch, rows, verdict)
        live.finish(engine, batch)
    return [batch.batch_id for batch in batches]


def live_row(event_id: str, days: float) -> dict[str, object]:
    return {"event_id": event_id, "user_id": BOB, "occurred_at": day(days), "origin": "http"}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "root")


@pytest.fixture
def store(tmp_path: Path, paths: Paths) -> Engine:
    """A store as ingests leave it: a shop's month, live events of two days in three batches, one of them held, and consent."""
    engine = open_store(f"sqlite:///{tmp_path / 'first.db'}")
    shop = event_rows({}, {}, {"user_id": EVE})
    events.append(engine, shop)
    accept(paths, "events", "shop-2017-03", shop)
    for batch_id, refusing in (("shop-2017-03-01", ()), ("shop-2017-03-31", (EVE,))):
        people = users(ANN, EVE, refusing=refusing)
        consent.record(engine, people)
        accept(paths, "users", batch_id, people)
    events.append(engine, event_rows(live_row("l1", 1), live_row("l2", 2)))
    assert export(paths, engine) == ["live-2017-03-02", "live-2017-03-03"]
    events.append(engine, event_rows(live_row("l3", 1.1)))
    assert export(paths, engine, hold=("live-2017-03-02-2",)) == ["live-2017-03-02-2"]
    return engine


def histories(engine: Engine) -> list[events.UserHistory]:
    return events.histories(engine, [ANN, BOB, EVE], 2**60, 200)


def test_a_lost_store_has_the_same_histories_and_refusals_again(store: Engine, paths: Paths, tmp_path: Path) -> None:
    new = open_store(f"sqlite:///{tmp_path / 'second.db'}")

    assert rebuild(paths, new) == Rebuilt(batches=3, events=5)

    assert histories(new)[0] == histories(store)[0]
    assert histories(new)[1].occurred_at_us == [at for at in histories(store)[1].occurred_at_us if at not in held_moments(store)]
    assert histories(new)[2] == histories(store)[2]
    assert consent.refusals(new, "personalise") == {EVE}
    assert rebuild(paths, new) == Rebuilt(batches=3, events=0)


def held_moments(engine: Engine) -> set[int]:
    """l3 is in a held batch: no accepted one has it."""
    table = events.window(engine, day(1.05), day(1.2))
    assert table.column("event_id").to_pylist() == ["l3"]
    return set(table.column("occurred_at").cast(pa.int64()).to_pylist())


def test_what_came_back_is_not_exported_again_and_what_comes_next_gets_a_name_of_its_own(store: Engine, paths: Paths, tmp_path: Path) -> None:
    new = open_store(f"sqlite:///{tmp_path / 'second.db'}")
    rebuild(paths, new)
    assert export(paths, new) == []

    events.append(new, event_rows(live_row("l4", 1.2), live_row("l5", 2.2), live_row("l6", 3.2)))

    assert export(paths, new) == ["live-2017-03-02-3", "live-2017-03-03-2", "live-2017-03-04"]


def test_what_a_backup_knew_of_consent_is_newer(store: Engine, paths: Paths, tmp_path: Path) -> None:
    new = open_store(f"sqlite:///{tmp_path / 'second.db'}")
    consent.record(new, users(ANN, refusing=(ANN,)))

    rebuild(paths, new)

    assert consent.refusals(new, "personalise") == {ANN, EVE}


def test_a_store_that_lost_nothing_stays_as_it_is(store: Engine, paths: Paths) -> None:
    before, waiting = histories(store), event_rows(live_row("l9", 5))
    events.append(store, waiting)

    assert rebuild(paths, store).events == 0

    assert histories(store)[::2] == before[::2]
    assert export(paths, store) == ["live-2017-03-06"]


def test_a_damaged_batch_is_named_and_what_is_whole_comes_back_once_it_is_mended(store: Engine, paths: Paths, tmp_path: Path) -> None:
    rows = paths.raw / "events" / "shop-2017-03" / landing.ROWS
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-9])
    new = open_store(f"sqlite:///{tmp_path / 'second.db'}")
    with pytest.raises(SourceError, match=r"shop-2017-03"):
        rebuild(paths, new)

    rows.write_bytes(whole)
    rebuild(paths, new)

    assert events.count(new) == 5
    assert events.newest(new) == day(2) + timedelta(0)
