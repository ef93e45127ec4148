"""The ingest flow on a shop of two items: what passes, what is set aside, what is held, and that nothing is done twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from flows import erasing
from flows import ingest as ingest_module
from flows.ingest import ingest
from flows.replay import replay
from footfall.contracts import EVENTS, C
from footfall.documents import Verdict
from footfall.errors import HoldError, SourceError
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym
from footfall.settings import load_settings
from footfall.sources import landing, quarantine
from footfall.sources.landing import Batch
from footfall.store import consent, events, open_store, shop_items
from footfall.tables import read_parquet
from tests.flow.two_items import NOVEMBER, USER, TwoItems, event, stored


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> TwoItems:
    """Twenty good purchases in September and October each, and two bad rows in October."""
    rows = [event(f"e{month}{day:02d}", datetime(2017, month, day, tzinfo=UTC)) for month in (9, 10) for day in range(1, 21)]
    rows += [event("zero", datetime(2017, 10, 21, tzinfo=UTC), quantity=0), event("foreign", datetime(2017, 10, 22, tzinfo=UTC), item_id="i9")]
    source = TwoItems(rows)
    monkeypatch.setattr(ingest_module, "open_source", lambda _name, _key: source)
    return source


def test_good_rows_reach_raw_and_store_and_bad_rows_quarantine_once(root: Path, shop: TwoItems) -> None:
    first = ingest(source="two_items", until=NOVEMBER)
    assert first["rows"] == {"catalogue": 2, "users": 1, "events": 40}
    assert first["quarantined"] == {"quantity_not_positive": 1, "unknown_item": 1}
    assert first["stored"] == stored(root) == 40
    assert quarantine.summary(Paths(root)) == first["quarantined"]
    engine = open_store(load_settings().store_url)
    assert shop_items.catalogue(engine, ["item_id"])["item_id"].to_pylist() == shop.catalogue()["item_id"].to_pylist()
    engine.dispose()

    second = ingest(source="two_items", until=NOVEMBER)
    assert second["batches"] == []
    assert (second["stored"], second["quarantined"], stored(root)) == (0, {}, 40)

    shop.rows.append(event("later", datetime(2017, 11, 3, tzinfo=UTC)))
    third = ingest(source="two_items", until=datetime(2017, 11, 5, tzinfo=UTC))
    assert shop.asked[-1] == NOVEMBER  # only what is new is read
    assert third["rows"] == {"events": 1}


def test_a_refusal_reaches_the_store_that_the_service_reads(root: Path, shop: TwoItems) -> None:
    ingest(source="two_items", until=NOVEMBER)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    assert consent.refusals(engine, "personalise") == set()
    shop.consent = '{"personalise": false}'
    ingest(source="two_items", until=datetime(2017, 11, 5, tzinfo=UTC))
    assert consent.refusals(engine, "personalise") == {USER}
    engine.dispose()


def test_an_erased_user_does_not_come_back_from_a_log_that_still_has_them(root: Path, shop: TwoItems) -> None:
    shop.rows += [event(f"other{day}", datetime(2017, 9, day, tzinfo=UTC), user_id=pseudonym("2", b"key")) for day in (1, 2, 3)]
    ingest(source="two_items", until=NOVEMBER)
    erasing.erase(load_settings(), [USER])
    assert stored(root) == 3
    Paths(root).watermarks.unlink()  # the log is read from its beginning

    again = ingest(source="two_items", until=NOVEMBER)
    assert (again["erased"], again["stored"], again["rows"], again["quarantined"]) == (43, 0, {}, {})
    assert again["known"] == 1  # September, without the erased rows
    assert stored(root) == 3
    assert USER not in read_parquet(landing.list_batches(Paths(root), "events")[1] / landing.ROWS).column(C.USER_ID).to_pylist()


def test_without_an_accepted_catalogue_the_held_one_is_named(root: Path, shop: TwoItems, monkeypatch: pytest.MonkeyPatch) -> None:
    none = shop.catalogue().slice(0, 0)
    monkeypatch.setattr(shop, "catalogue", lambda: none)
    with pytest.raises(HoldError, match="footfall quarantine show two_items-2017-11-01"):
        ingest(source="two_items", until=NOVEMBER)


def test_a_held_batch_stops_no_other_and_is_landed_again_later(root: Path, shop: TwoItems) -> None:
    good = list(shop.rows)
    shop.rows[:] = [row if row[C.OCCURRED_AT].month == 10 else row | {C.EVENT_TYPE: "teleport"} for row in good]  # nobody knows what September is
    held = ingest(source="two_items", until=NOVEMBER)
    assert [(batch["batch_id"], batch["look"]) for batch in held["held"]] == [("two_items-2017-09", "footfall quarantine show two_items-2017-09")]
    assert held["rows"]["events"] == 20
    shop.rows[:] = good
    mended = ingest(source="two_items", until=NOVEMBER)
    assert (mended["held"], mended["rows"], mended["known"]) == ([], {"events": 20}, 1)
    assert stored(root) == 40


def test_a_kill_between_store_and_raw_is_mended_by_the_next_run(root: Path, shop: TwoItems, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = landing.accept

    def die(paths: Paths, batch: Batch, good: pa.Table, verdict: Verdict) -> Path:
        if batch.contract == "events":
            raise KeyboardInterrupt
        return accept(paths, batch, good, verdict)

    with monkeypatch.context() as patch:
        patch.setattr(landing, "accept", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(source="two_items", until=NOVEMBER)
    assert stored(root) == 20
    done = ingest(source="two_items", until=NOVEMBER)
    assert done["rows"]["events"] == stored(root) == 40
    assert done["stored"] == 20  # September's were there already


def test_live_events_are_exported_once_and_their_bad_rows_leave_histories(root: Path, shop: TwoItems) -> None:
    ingest(source="two_items", until=NOVEMBER)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    live = [event(f"h{day:02d}", datetime(2017, 11, 2, day, tzinfo=UTC), origin="http") for day in range(20)]
    live.append(event("h-bad", datetime(2017, 11, 2, 23, tzinfo=UTC), origin="http", item_id="i9"))
    events.append(engine, pa.Table.from_pylist(live, EVENTS.schema))
    until = datetime(2017, 11, 5, tzinfo=UTC)
    done = ingest(until=until)
    assert (done["batches"], done["rows"], done["quarantined"]) == (["events/live-2017-11-02"], {"events": 20}, {"unknown_item": 1})
    assert ingest(until=until)["batches"] == []
    assert events.withdrawn(engine) == {"unknown_item": 1}
    assert events.window(engine, NOVEMBER, until).num_rows == 20
    engine.dispose()


def test_events_that_come_too_late_go_to_quarantine_and_leave_histories(root: Path, shop: TwoItems) -> None:
    ingest(source="two_items", until=NOVEMBER)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    at, until = datetime(2017, 11, 2, tzinfo=UTC), datetime(2017, 11, 9, tzinfo=UTC)
    delays = {"in time": 0, "late": 72, "too late": 73, "from the future": -2}
    rows = [event(name, at, origin="http", received_at=at + timedelta(hours=hours)) for name, hours in delays.items()]
    events.append(engine, pa.Table.from_pylist(rows, EVENTS.schema))
    done = ingest(until=until)
    assert (done["rows"], done["quarantined"]) == ({"events": 2}, {"from_the_future": 1, "too_late": 1})
    assert events.window(engine, NOVEMBER, until).column(C.EVENT_ID).to_pylist() == ["in time", "late"]
    assert events.withdrawn(engine) == done["quarantined"]
    assert replay("live-2017-11-02")["accepted"] == 0  # nothing has changed since
    engine.dispose()


def test_events_without_a_catalogue_are_refused_with_the_next_step(root: Path, shop: TwoItems) -> None:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    events.append(engine, pa.Table.from_pylist([event("h1", datetime(2017, 10, 2, tzinfo=UTC), origin="http")], EVENTS.schema))
    engine.dispose()
    with pytest.raises(SourceError, match="footfall ingest --source"):
        ingest(until=NOVEMBER)


def test_rows_that_pass_now_are_accepted_once_and_the_others_stay(root: Path, shop: TwoItems, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(source="two_items", until=NOVEMBER)
    ((batch_id,),) = [[batch.batch_id] for batch in quarantine.list_all(Paths(root))]
    assert replay(batch_id)["accepted"] == 0
    assert quarantine.summary(Paths(root)) == {"quantity_not_positive": 1, "unknown_item": 1}
    shop.items.append("i9")
    ingest(source="two_items", until=datetime(2017, 11, 5, tzinfo=UTC))  # the shop has added the item to its product table
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "keep_only", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            replay(batch_id)  # killed after the rows were accepted
    assert replay(batch_id) == {"batch_id": batch_id, "accepted": 1, "left": {"quantity_not_positive": 1}}
    assert quarantine.summary(Paths(root)) == {"quantity_not_positive": 1}
    assert stored(root) == 41
    rows = sum(landing.read_receipt(folder).rows for folder in landing.list_batches(Paths(root), "events") if "replay" in folder.name)
    assert rows == 1


def test_a_live_row_that_passes_now_is_back_in_histories(root: Path, shop: TwoItems) -> None:
    ingest(source="two_items", until=NOVEMBER)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    at = datetime(2017, 11, 2, tzinfo=UTC)
    events.append(engine, pa.Table.from_pylist([event("h1", at, origin="http", item_id="i9"), event("h2", at, origin="http")], EVENTS.schema))
    until = datetime(2017, 11, 5, tzinfo=UTC)
    ingest(until=until)
    assert events.withdrawn(engine) == {"unknown_item": 1}
    shop.items.append("i9")
    ingest(source="two_items", until=until)
    assert replay("live-2017-11-02")["accepted"] == 1
    assert events.withdrawn(engine) == {}
    assert events.window(engine, NOVEMBER, until).column(C.EVENT_ID).to_pylist() == ["h1", "h2"]
    engine.dispose()
