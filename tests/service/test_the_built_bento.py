from __future__ import annotations

import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from jsonschema import Draft202012Validator

from footfall.store import events, exposures, open_store, releases
from tests.champions import champion_id
from tests.service.built_bento import BACK_WITHIN_S, NOON, READY_WITHIN_S, Server, make_workspace
from tests.trials import SOAK, Trial

ROLLBACK_WITHIN_S = 5 if SOAK else 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    root = tmp_path_factory.mktemp("service")
    make_workspace(root, checkout)
    return root


@pytest.fixture(scope="module")
def server(root: Path, checkout: Path) -> Iterator[Server]:
    server = Server(root, checkout)
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop(signal.SIGKILL)


def test_it_runs_from_its_built_copy_and_from_nowhere_else(server: Server, root: Path, checkout: Path) -> None:
    answer = server.ask("GET", "/v1/release")[1]
    code = Path(answer["code"])
    assert code.is_relative_to(root / ".footfall" / "bentoml" / "bentos" / "footfall")
    assert not code.is_relative_to(checkout)
    built = code.parents[2]
    assert {path.name for path in built.iterdir()} <= {"src", "bentos", "pyproject.toml", "constraints.txt", "bentofile.yaml"}
    assert {path.suffix for path in built.rglob("*") if path.is_file()} <= {".py", ".toml", ".txt", ".yaml"}


def test_its_workers_log_json_lines_that_name_the_release(server: Server) -> None:
    (said,) = [json.loads(line) for line in server.log.splitlines() if "opened in" in line][-1:]
    assert (said["level"], said["logger"]) == ("info", "footfall.service")
    assert server.ask("GET", "/v1/release")[1]["release"] == said["release"]


def test_it_counts_what_is_refused_at_the_door_and_what_is_inside(server: Server) -> None:
    assert server.ask("GET", "/nowhere")[0] == 404
    page = server.ask("GET", "/metrics")[1]
    assert 'footfall_http_refused_total{status="404"}' in page
    inside = [line for line in page.splitlines() if line.startswith("footfall_http_in_flight")]
    assert sum(float(line.rpartition(" ")[2]) for line in inside) == 1  # this one


def test_it_serves_without_torch(server: Server) -> None:
    server.recommend(events=[{"event_type": "view", "item_id": "item00007"}])
    assert server.process is not None
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    mapped = {Path(part.path).name for process in family for part in process.memory_maps()}
    assert any(name.startswith("_multiarray_umath") for name in mapped)  # the names of libraries can be seen
    assert not [name for name in mapped if "torch" in name]


def test_what_it_answers_is_what_its_document_says(server: Server) -> None:
    page = server.ask("GET", "/v1/openapi.json")[1]
    told = server.buy("ann", "item00007", "item00008")
    asked = {"RecommendAnswer": server.recommend(user_id="ann", k=20), "EventsAnswer": told, "Release": server.ask("GET", "/v1/release")[1]}
    asked["Problem"] = server.ask("POST", "/v1/recommend", {"k": 0})[1]
    for name, answer in asked.items():
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": page["components"]}).validate(answer)
    assert {line["item_id"] for line in asked["RecommendAnswer"]["items"][:2]} == {"item00007", "item00008"}


def test_an_unknown_user_gets_a_labelled_popularity_slate(server: Server) -> None:
    answer = server.recommend(user_id="a stranger")
    assert (answer["degraded"], len(answer["items"]), {line["reason"] for line in answer["items"]}) == ("no_history", 10, {"popular"})


@pytest.mark.parametrize("path", ["/", "/docs.json", "/schema.json", "/static_content/index.css"])
def test_no_page_of_bentomls_own_is_open(server: Server, path: str) -> None:
    assert server.ask("GET", path)[0] == 404


def test_probes_and_metrics_answer(server: Server) -> None:
    assert (server.ask("GET", "/livez")[0], server.ask("GET", "/readyz")[0]) == (200, 200)
    status, page = server.ask("GET", "/metrics")
    assert status == 200
    assert "footfall_slates_total{" in page


def test_hostile_bodies_are_refused_and_the_service_goes_on(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    bodies = [(b"\x80\x04.", "application/vnd.bentoml+pickle", 415), (b"[" * 10_000, "application/json", 400), (b"", "application/json", 400)]
    for body, content_type, status in bodies:
        connection.request("POST", "/v1/events", body, {"content-type": content_type})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.request("POST", "/v1/events", b"", {"content-type": "application/json", "content-length": str(11 << 20)})
    assert connection.getresponse().status == 413
    connection.close()
    assert server.recommend()["items"]


@pytest.mark.trial
def test_promotions_and_rollbacks_under_load_fail_no_request(server: Server, root: Path, trial: Trial) -> None:
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    first = champion_id(engine)
    assert first is not None
    second = next(release.release_id for release in releases.list_all(engine) if release.release_id != first)
    seen: list[str] = []
    failures: list[str] = []
    stop = threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            try:
                seen.append(server.recommend(user_id="ann")["release"])
            except (OSError, AssertionError, http.client.HTTPException) as error:
                failures.append(repr(error))

    def seconds_until_all_see(release: str) -> float:
        started = time.monotonic()
        while set(seen[-len(threads) :]) != {release}:
            assert time.monotonic() < started + READY_WITHIN_S, failures
            time.sleep(0.02)
        return time.monotonic() - started

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    took, rounds = [], trial.count(small=1, stated=5)
    try:
        seconds_until_all_see(first)
        for _ in range(rounds):
            releases.promote(engine, second)
            seconds_until_all_see(second)
            releases.rollback(engine)
            took.append(seconds_until_all_see(first))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        engine.dispose()
    trial.note(rounds=rounds, requests=len(seen), failed=len(failures), longest_rollback_s=round(max(took), 2))
    assert failures == []
    assert set(seen) == {first, second}
    assert server.recommend()["release"] == first
    assert max(took) <= ROLLBACK_WITHIN_S


@pytest.mark.trial
def test_a_worker_that_is_killed_is_replaced_soon(server: Server, trial: Trial) -> None:
    waits, luck = [], random.Random(23)
    for _ in range(trial.count(small=1, stated=5)):
        time.sleep(luck.uniform(0.0, 2.0))
        before = server.workers()
        killed = time.monotonic()
        for worker in before:
            worker.kill()
        psutil.wait_procs(before, 20)
        server.seconds_until_ready()
        waits.append(time.monotonic() - killed)
        assert not set(before) & set(server.workers())
    trial.note(kills=len(waits), longest_until_ready_s=round(max(waits), 2))
    assert max(waits) <= BACK_WITHIN_S


def test_killed_at_once_it_has_lost_no_acknowledged_event_and_starts_again(server: Server, root: Path) -> None:
    acknowledged = sum(server.buy("bob", *["item00001"] * 5, event_ids=f"b{number}")["accepted"] for number in range(20))
    server.stop(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.is_ready():  # its worker sees within a second that nobody watches it any more
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    table = events.window(engine, NOON, NOON + timedelta(1))
    assert len([name for name in table.column("event_id").to_pylist() if name.startswith("b")]) == acknowledged == 100
    engine.dispose()
    server.start()
    assert server.recommend(user_id="bob")["items"][0]["item_id"] == "item00001"


def test_it_stops_cleanly_and_every_slate_was_logged(server: Server, root: Path) -> None:
    wanted = {server.recommend(user_id="ann")["request_id"] for _ in range(50)}
    assert server.stop() == 0
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    moment = datetime(2017, 10, 29, tzinfo=UTC)
    shown = set(exposures.window(engine, moment, moment + timedelta(1)).column("request_id").to_pylist())
    engine.dispose()
    assert wanted <= shown


def test_its_log_names_no_user_and_no_address(server: Server) -> None:
    for word in ("ann", "bob", "stranger", "item00007", "Traceback"):
        assert word not in server.log.replace("scanned", "")
