from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.errors import ContractError, StoreError
from footfall.store import Engine, events, open_store
from footfall.store.engine import reading
from footfall.store.moments import from_us, to_us
from tests.unit.footfall.store.store_rows import MINUTE, NOON, event, events_table

LATER = to_us(NOON + timedelta(days=1))


def test_events_are_stored_once_and_duplicates_are_named(engine: Engine) -> None:
    first = events.append(engine, events_table(event("a"), event("b"), event("a", item_id="other")))
    assert (first.accepted, first.duplicates) == (2, ["a"])
    second = events.append(engine, events_table(event("b"), event("c")))
    assert (second.accepted, second.duplicates) == (1, ["b"])
    assert events.count(engine) == 3
    assert events.history(engine, "u1", LATER, 10).item_ids == ["item-a", "item-b", "item-c"]


def test_what_comes_back_is_what_was_stored(engine: Engine) -> None:
    table = events_table(
        event("a", query="kaffee ☕ 咖啡", text="x" * 10_000, rating=4.5, duration_s=0.25, quantity=-(2**60), price_minor=2**60, position=3),
        event("b", 1, item_id=None, event_type="search", session_id="s", currency="USD", place="p", device="d", campaign_id="c", request_id="r"),
    )
    events.append(engine, table)
    assert events.window(engine, NOON, NOON + timedelta(hours=1)).equals(table)


def test_ids_that_differ_in_case_or_space_are_different_ids(engine: Engine) -> None:
    assert events.append(engine, events_table(event("a"), event("A"), event("a "), event("ä"))).accepted == 4
    events.append(engine, events_table(event("x", user_id="U1")))
    assert len(events.history(engine, "u1", LATER, 10).item_ids) == 4


def test_a_history_is_the_newest_events_strictly_before_a_moment(engine: Engine) -> None:
    events.append(engine, events_table(*[event(f"e{n}", n) for n in range(6)], event("other", 2, user_id="u2")))
    history = events.history(engine, "u1", to_us(NOON + 4 * MINUTE), 3)
    assert history.item_ids == ["item-e1", "item-e2", "item-e3"]
    assert history.event_types == ["purchase"] * 3
    assert history.occurred_at_us == [to_us(NOON + n * MINUTE) for n in (1, 2, 3)]
    assert events.history(engine, "nobody", LATER, 3).item_ids == []


def test_events_of_one_moment_come_in_the_order_of_their_ids(engine: Engine) -> None:
    events.append(engine, events_table(event("c"), event("a"), event("b")))
    assert events.history(engine, "u1", LATER, 2).item_ids == ["item-b", "item-c"]


def test_many_histories_come_in_the_order_asked_for(engine: Engine) -> None:
    events.append(engine, events_table(event("a"), event("b", user_id="u2")))
    found = events.histories(engine, ["u2", "nobody", "u1"], LATER, 10)
    assert [history.item_ids for history in found] == [["item-b"], [], ["item-a"]]


def test_a_window_holds_its_start_but_not_its_end(engine: Engine) -> None:
    events.append(engine, events_table(event("a"), event("b", 1), event("c", 2)))
    assert events.window(engine, NOON, NOON + 2 * MINUTE).column("event_id").to_pylist() == ["a", "b"]
    assert events.window(engine, NOON + 3 * MINUTE, NOON + 4 * MINUTE).num_rows == 0


def test_withdrawn_events_leave_histories_and_windows_but_not_the_store(engine: Engine) -> None:
    events.append(engine, events_table(event("a"), event("b", 1)))
    assert events.withdraw(engine, ["a", "a", "unheard of"], "unknown_item") == 1
    events.withdraw(engine, ["a"], "another reason")
    assert events.history(engine, "u1", LATER, 10).item_ids == ["item-b"]
    assert events.window(engine, NOON, NOON + MINUTE).num_rows == 0
    assert events.append(engine, events_table(event("a"))).duplicates == ["a"]
    assert events.history(engine, "u1", LATER, 10).item_ids == ["item-b"]
    assert (events.count(engine), events.withdrawn(engine)) == (2, {"unknown_item": 2})


def test_what_one_database_could_not_keep_is_refused_before_anything_is_written(engine: Engine) -> None:
    for fields, words in [({"item_id": "x" * 200}, "too long"), ({"text": "nul \x00"}, "NUL")]:
        with pytest.raises(StoreError, match=words):
            events.append(engine, events_table(event("good"), event("bad", **fields)))
    with pytest.raises(ContractError):
        events.append(engine, pa.table({"event_id": ["a"]}))
    assert events.count(engine) == 0


def test_an_empty_table_is_no_trouble(engine: Engine) -> None:
    assert events.append(engine, events_table(event("a")).slice(0, 0)) == events.Appended(0, [])
    assert events.newest(engine) is None


def test_the_newest_moment_is_known(engine: Engine) -> None:
    events.append(engine, events_table(event("a", 5), event("b", 1)))
    assert events.newest(engine) == NOON + 5 * MINUTE
    assert from_us(to_us(NOON)) == NOON


def test_the_same_events_from_several_threads_are_accepted_once_in_all(engine: Engine) -> None:
    tables = [events_table(*[event(f"e{n}", n) for n in range(start, start + 60)]) for start in (0, 20, 40, 60)]
    accepted: list[int] = []
    threads = [threading.Thread(target=lambda table=table: accepted.append(events.append(engine, table).accepted)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(accepted), events.count(engine)) == (120, 120)


@settings(max_examples=15)
@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6))
def test_however_events_are_split_and_repeated_each_is_stored_once(tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]) -> None:
    engine = open_store(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    appended = [events.append(engine, events_table(*[event(f"e{n}", n) for n in batch])) for batch in batches if batch]
    distinct = {n for batch in batches for n in batch}
    assert sum(one.accepted for one in appended) == len(distinct) == events.count(engine)
    assert sum(len(one.duplicates) for one in appended) == sum(map(len, batches)) - len(distinct)
    assert events.history(engine, "u1", LATER, 100).item_ids == [f"item-e{n}" for n in sorted(distinct)]
    engine.dispose()


_APPENDING = """
import sys
from footfall.store import events, open_store
from tests.unit.footfall.store.store_rows import event, events_table
engine = open_store(sys.argv[1])
for number in range(100_000):
    events.append(engine, events_table(event(f"{sys.argv[2]}-{number}", number)))
    print(f"{sys.argv[2]}-{number}", flush=True)
"""


def test_no_acknowledged_event_is_lost_when_the_process_is_killed(tmp_path: Path, checkout: Path) -> None:
    url, acknowledged = f"sqlite:///{tmp_path}/store.db", set[str]()
    for run in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _APPENDING, url, str(run)],
            stdout=subprocess.PIPE,
            cwd=checkout,
            env={"PYTHONPATH": f"{checkout / 'src'}:{checkout}"},
        )
        assert process.stdout is not None
        acknowledged.add(process.stdout.readline().decode().strip())
        time.sleep(0.03 * (run + 1))
        process.send_signal(signal.SIGKILL)
        acknowledged |= set(process.stdout.read().decode().split("\n")[:-1])
        process.stdout.close()
        process.wait()
    engine = open_store(url)
    stored = set(events.window(engine, NOON, NOON + timedelta(days=365)).column("event_id").to_pylist())
    engine.dispose()
    assert len(acknowledged) >= 3
    assert acknowledged <= stored


def test_what_was_searched_for_and_how_long_views_lasted_come_when_asked_for(engine: Engine) -> None:
    rows = [event("a", item_id=None, event_type="search", query="Tea  ☕"), event("b", 1, event_type="view", duration_s=0.1), event("c", 2)]
    events.append(engine, events_table(*rows))
    with reading(engine) as connection:
        plain, told = (events.history_on(connection, "u1", LATER, 10, signals=asked) for asked in (False, True))
    assert (plain.queries, plain.durations_s) == ([], [])
    assert (told.queries, told.durations_s) == (["Tea  ☕", None, None], [None, 0.1, None])
    assert (told.item_ids, told.event_types, told.occurred_at_us) == (plain.item_ids, plain.event_types, plain.occurred_at_us)
