from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bentos.live import writer as writer_module
from bentos.live.live_store import LiveStore
from bentos.live.writer import QueueFullError, Writer
from bentos.measures import Measures
from footfall.contracts import EVENTS, EXPOSURES
from footfall.errors import StoreError
from footfall.store import events, exposures, open_store
from footfall.store.rows import to_rows
from tests.unit.footfall.store.store_rows import NOON, event, events_table, slate


def event_rows(*ids: str) -> list[tuple[Any, ...]]:
    return to_rows(events_table(*[event(name) for name in ids]), EVENTS.schema.names)


def slate_rows(*ids: str) -> list[tuple[Any, ...]]:
    return [row for name in ids for row in to_rows(slate(name, "x", "y"), EXPOSURES.schema.names)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url: str) -> Iterator[LiveStore]:
    opened = LiveStore(url)
    yield opened
    opened.close()


def stored(url: str) -> tuple[int, int]:
    engine = open_store(url)
    found = events.count(engine), exposures.count_slates(engine)
    engine.dispose()
    return found


def test_events_are_durable_once_their_future_is_done(store: LiveStore, url: str) -> None:
    writer = Writer(store, Measures(CollectorRegistry()))
    futures = [writer.append_events(event_rows(f"e{n}", "same")) for n in range(40)]
    assert sum(future.result(10).accepted for future in futures) == 41
    assert stored(url)[0] == 41
    writer.close()


def test_what_waits_is_written_before_the_end(store: LiveStore, url: str) -> None:
    writer = Writer(store, Measures(CollectorRegistry()))
    for number in range(200):
        writer.log_exposures(slate_rows(f"q{number}"))
    writer.close()
    assert stored(url) == (0, 200)
    with pytest.raises(QueueFullError):
        writer.append_events(event_rows("late"))


def test_requests_that_wait_together_share_a_commit(store: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, hold, first = [], threading.Event(), threading.Event()
    real = writer_module.write_together

    def slow(engine: Any, appends: Any, shown: Any) -> Any:
        sizes.append(len(appends))
        first.set()
        assert hold.wait(10)
        return real(engine, appends, shown)

    monkeypatch.setattr(writer_module, "write_together", slow)
    writer = Writer(store, Measures(CollectorRegistry()))
    futures = [writer.append_events(event_rows("a"))]
    assert first.wait(10)
    futures += [writer.append_events(event_rows(name)) for name in "bcdef"]
    hold.set()
    assert [future.result(10).accepted for future in futures] == [1] * 6
    writer.close()
    assert sizes == [1, 5]


def test_more_events_than_may_wait_are_refused(store: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "EVENT_CAPACITY", 3)
    writer = Writer(store, Measures(CollectorRegistry()))
    with pytest.raises(QueueFullError):
        writer.append_events(event_rows(*"abcd"))
    assert writer.append_events(event_rows(*"abc")).result(10).accepted == 3
    writer.close()


def test_who_gave_up_waiting_stops_neither_the_writer_nor_the_others(store: LiveStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, first = threading.Event(), threading.Event()
    real = writer_module.write_together

    def slow(engine: Any, appends: Any, shown: Any) -> Any:
        first.set()
        assert hold.wait(10)
        return real(engine, appends, shown)

    monkeypatch.setattr(writer_module, "write_together", slow)
    writer = Writer(store, Measures(CollectorRegistry()))
    under_way = writer.append_events(event_rows("a"))
    assert first.wait(10)
    given_up, other = writer.append_events(event_rows("b")), writer.append_events(event_rows("c"))
    assert (under_way.cancel(), given_up.cancel()) == (False, True)
    hold.set()
    assert other.result(10).accepted == under_way.result(10).accepted == 1
    assert writer.append_events(event_rows("d")).result(10).accepted == 1
    writer.close()
    assert stored(url)[0] == 3  # "b" was never stored: its client will send it again


def test_a_fault_that_nobody_foresaw_fails_its_events_and_stops_no_later_ones(store: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> None:
        raise OverflowError("ann@example.org does not fit")

    writer = Writer(store, Measures(CollectorRegistry()))
    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "write_together", odd)
        with pytest.raises(StoreError, match="OverflowError") as caught:
            writer.append_events(event_rows("a")).result(10)
    assert "ann" not in str(caught.value)
    assert writer.append_events(event_rows("a")).result(10).accepted == 1
    writer.close()


def test_while_the_store_is_away_events_fail_and_slates_wait(store: LiveStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreError("gone")

    measures = Measures(CollectorRegistry())
    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "write_together", away)
        patch.setattr("bentos.live.live_store.PAUSE_S", 0.0)
        writer = Writer(store, measures)
        writer.log_exposures(slate_rows("q1"))
        with pytest.raises(StoreError):
            writer.append_events(event_rows("a")).result(10)
    writer.log_exposures(slate_rows("q2"))
    writer.close()
    assert stored(url) == (0, 2)
    assert "footfall_exposures_lost_total 0.0" in measures.page()[0].decode()


def test_the_oldest_slates_are_lost_when_too_many_wait_and_the_loss_is_counted(store: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "EXPOSURE_CAPACITY", 4)
    monkeypatch.setattr(writer_module, "FLUSH_S", 60.0)
    measures = Measures(CollectorRegistry())
    writer = Writer(store, measures)
    for name in ("q1", "q2", "q3"):
        writer.log_exposures(slate_rows(name))
    writer.close()
    engine = open_store(str(store._url))
    assert set(exposures.window(engine, NOON, NOON + timedelta(1)).column("request_id").to_pylist()) == {"q2", "q3"}
    engine.dispose()
    assert "footfall_exposures_lost_total 2.0" in measures.page()[0].decode()


def test_no_slate_is_torn_in_two_transactions_however_many_wait(store: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[list[str]] = []

    def note(_engine: object, _events: object, shown: list[tuple[Any, ...]]) -> list[object]:
        commits.append([row[0] for row in shown])
        return []

    monkeypatch.setattr(writer_module, "_ROWS_A_COMMIT", 3)
    monkeypatch.setattr(writer_module, "FLUSH_S", 60.0)
    monkeypatch.setattr(writer_module, "write_together", note)
    writer = Writer(store, Measures(CollectorRegistry()))
    for number in range(5):
        writer.log_exposures(slate_rows(f"q{number}"))
    writer.close()
    assert commits == [["q0", "q0", "q1", "q1"], ["q2", "q2", "q3", "q3"], ["q4", "q4"]]
