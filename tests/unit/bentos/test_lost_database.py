"""The database goes away and comes back: 503 with Retry-After, nothing acknowledged is lost, and nobody has to restart anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bentos.live import writer as writer_module
from footfall.store import open_store
from footfall.store.tables import events as table
from tests.trials import Trial
from tests.unit.bentos.asgi import Answer, ask, ask_in_loop
from tests.unit.bentos.conftest import Service
from tests.unit.bentos.test_answers_over_http import bought, post_events, true_to
from tests.wire import Wire


@pytest.fixture
def service(start: Callable[..., Service], server_url: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service whose store is at the other end of the wire."""
    monkeypatch.setattr("bentos.live.live_store.PAUSE_S", 0.0)
    return start(url=sa.make_url(server_url).set(host="127.0.0.1", port=wire.port).render_as_string(hide_password=False), champion=None)


def stored(url: str) -> Counter[str]:
    engine = open_store(url)
    with engine.connect() as connection:
        found = Counter(connection.execute(sa.select(table.c.event_id)).scalars())
    engine.dispose()
    return found


def end_sessions(url: str) -> None:
    """End all other sessions of this database, as an administrator would."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            mine = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {mine}")
        else:
            mine = "FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            for (number,) in connection.exec_driver_sql(f"SELECT id {mine}").all():
                with contextlib.suppress(sa.exc.OperationalError):  # it has ended by itself meanwhile
                    connection.exec_driver_sql(f"KILL {number}")
    engine.dispose()


def is_busy(answer: Answer) -> bool:
    true_to("Problem" if answer.status != 200 else "EventsAnswer", answer)
    return answer.status == 503 and answer.headers["retry-after"] == "1"


def test_a_database_that_is_away_answers_503_and_is_used_again_when_it_is_back(service: Service, wire: Wire, server_url: str) -> None:
    assert post_events(service, bought("a", event_id="1")).status == 200
    wire.cut()
    assert all(is_busy(post_events(service, bought("a", event_id=name))) for name in "2345")
    wire.mend()
    assert post_events(service, bought("a", event_id="2")).json["accepted"] == 1
    assert stored(server_url) == Counter("12")


def test_a_service_that_starts_without_its_database_takes_events_once_it_is_there(
    start: Callable[..., Service], service: Service, wire: Wire
) -> None:
    wire.cut()
    late = start(url=service.store._url, champion=None)
    assert is_busy(post_events(late, bought("a", event_id="1")))
    wire.mend()
    assert post_events(late, bought("a", event_id="1")).json["accepted"] == 1


def test_a_database_that_hangs_answers_503_in_time_and_a_repeat_is_stored_once(
    service: Service, wire: Wire, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentos.web.endpoints.ANSWER_TIMEOUT_S", 0.3)
    assert post_events(service, bought("a", event_id="1")).status == 200
    wire.hold()
    assert all(is_busy(post_events(service, bought("a", event_id=name))) for name in "23")
    wire.mend()
    monkeypatch.undo()
    for name in "23":
        told = post_events(service, bought("a", event_id=name)).json
        assert told["accepted"] + told["duplicates"] == 1
    assert stored(server_url) == Counter("123")


@pytest.mark.trial
def test_a_wire_cut_at_any_byte_and_sessions_ended_at_any_moment_lose_nothing(service: Service, wire: Wire, server_url: str, trial: Trial) -> None:
    cuts, luck = trial.count(small=12, stated=400), random.Random(3)
    acknowledged: set[str] = set()
    statuses: Counter[int] = Counter()

    def post(number: int) -> bool:
        ids = [f"{number}-{part}" for part in range(5)]
        answer = post_events(service, *[bought("a", event_id=name) for name in ids])
        statuses[answer.status] += 1
        if answer.status != 200:
            assert is_busy(answer)
            return False
        acknowledged.update(ids)
        return True

    for number in range(cuts):
        if number % 4 == 3:
            ender = threading.Timer(luck.uniform(0, 0.01), end_sessions, [server_url])
            ender.start()
            post(number)
            ender.join()
        else:
            wire.cut(after_bytes=luck.randrange(1, 4000))  # some 3000 bytes go over it for one request
            post(number)
            wire.cut()
        wire.mend()
        while not post(number):
            assert statuses[503] < 20 * cuts, statuses
    found = stored(server_url)
    trial.note(cuts=cuts, lost=len(acknowledged - set(found)), answers={str(status): count for status, count in statuses.items()})
    assert found == Counter(acknowledged)
    assert len(acknowledged) == 5 * cuts
    assert statuses[503] > 0


def test_a_full_queue_answers_503_and_keeps_what_it_had_taken(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    service, hold, first = start(champion=None), threading.Event(), threading.Event()
    real = writer_module.write_together

    def slow(*given: Any) -> Any:
        first.set()
        assert hold.wait(20)
        return real(*given)

    monkeypatch.setattr(writer_module, "write_together", slow)
    monkeypatch.setattr(writer_module, "EVENT_CAPACITY", 3)

    async def crowd() -> list[Answer]:
        def send(name: str) -> asyncio.Task[Answer]:
            body = json.dumps({"events": [bought("a", event_id=name)]}).encode()
            headers = {"content-type": "application/json"}
            return asyncio.create_task(ask_in_loop(service.app, "POST", "/v1/events", [body], headers, ("127.0.0.1", 3000)))

        tasks = [send("0")]
        await asyncio.to_thread(first.wait, 20)  # it is being written; the queue is empty
        for name in "1234":
            tasks.append(send(name))
            await asyncio.sleep(0.05)
        hold.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(crowd())
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 503]
    assert is_busy(answers[4])
    assert stored(service.store._url) == Counter("0123")
    again = ask(service.app, "POST", "/v1/events", {"events": [bought("a", event_id="4")]})
    assert again.json["accepted"] == 1


def test_events_written_to_a_file_that_was_taken_away_are_not_acknowledged(start: Callable[..., Service], tmp_path: Path) -> None:
    service, path = start(champion=None), tmp_path / "store.db"
    assert post_events(service, bought("a", event_id="1")).status == 200
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"store.db{end}").rename(tmp_path / f"aside{end}")
    service.store._away_until = 0.0
    assert is_busy(post_events(service, bought("a", event_id="2")))
    assert not path.exists()  # no new store was made in its place
    for end in ("-wal", "-shm", ""):
        (tmp_path / f"aside{end}").rename(tmp_path / f"store.db{end}")
    service.store._away_until = 0.0
    told = post_events(service, bought("a", event_id="2"), bought("a", event_id="3")).json
    assert (told["accepted"], told["duplicates"]) == (1, 1)
    assert stored(f"sqlite:///{path}") == Counter("123")


def test_a_restored_file_is_used_from_the_next_event_on_without_a_restart(
    start: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentos.live.live_store.PAUSE_S", 0.0)
    service, path = start(champion=None), tmp_path / "store.db"
    open_store(f"sqlite:///{tmp_path / 'backup.db'}").dispose()
    assert post_events(service, bought("a", event_id="1")).status == 200
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"store.db{end}").unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(path)
    assert is_busy(post_events(service, bought("a", event_id="2")))
    assert post_events(service, bought("a", event_id="2")).json["accepted"] == 1
    assert stored(f"sqlite:///{path}") == Counter("2")
