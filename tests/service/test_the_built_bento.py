from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from jsonschema import Draft202012Validator

from benchmarks.random_bundle import write_random_bundle
from bentos import registry
from bentos.build import build
from footfall.pseudonyms import DEMO_KEY, write_key
from footfall.settings import TELEMETRY_OFF
from footfall.store import events, exposures, open_store, releases
from tests.champions import champion_id

AT = "2017-10-29T00:00:00Z"
NOON = datetime(2017, 10, 28, 12, tzinfo=UTC)
READY_WITHIN_S = 60.0  # 12 on two idle cores


class Server:
    """`python -m bentos serve` in a process of its own, on a free port, with all state in a folder of the test's."""

    def __init__(self, root: Path, checkout: Path) -> None:
        self.root, self.checkout = root, checkout
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> None:
        environment = {
            **os.environ,
            **TELEMETRY_OFF,
            "FOOTFALL_ROOT": str(self.root),
            "FOOTFALL_PORT": str(self.port),
            "FOOTFALL_REPLAY_CLOCK": "1",
            "FOOTFALL_LOG": "json",
            "BENTOML_HOME": str(self.root / ".footfall" / "bentoml"),
            "PYTHONPATH": os.pathsep.join([str(self.checkout / "src"), str(self.checkout)]),
        }
        with (self.root / "service.log").open("ab") as log:
            command = [sys.executable, "-m", "bentos", "serve"]
            self.process = subprocess.Popen(command, cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.is_ready():
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the supervisor and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def log(self) -> str:
        return (self.root / "service.log").read_text(encoding="utf-8")

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send one request on a connection of its own; returns the status, and the JSON or text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers or {"content-type": "application/json"})
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if answer.headers.get_content_type() == "application/json" else raw.decode()
        finally:
            connection.close()

    def recommend(self, **fields: Any) -> dict[str, Any]:
        status, answer = self.ask("POST", "/v1/recommend", {"at": AT, **fields})
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def buy(self, user: str, *items: str, event_ids: str | None = None) -> dict[str, Any]:
        rows = [{"user_id": user, "event_type": "purchase", "item_id": item, "occurred_at": NOON.isoformat()} for item in items]
        if event_ids is not None:
            rows = [{**row, "event_id": f"{event_ids}-{number}"} for number, row in enumerate(rows)]
        status, answer = self.ask("POST", "/v1/events", {"events": rows})
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """A workspace with two releases, the first of them champion and built into a bento."""
    root = tmp_path_factory.mktemp("service")
    home = root / ".footfall" / "bentoml"
    write_key(root / ".footfall" / "pseudonym.key", DEMO_KEY)
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    for seed in (1, 2):
        identity = write_random_bundle(root / f"bundle{seed}", items=2000, seed=seed)
        tag = registry.register(root / f"bundle{seed}", identity, {"seed": seed}, home=home)
        moment = datetime(2017, 10, 29, tzinfo=UTC) + timedelta(seed)
        releases.add(engine, releases.Release(identity, tag, "candidate", moment, moment))
        if seed == 1:
            bento = build(checkout, tag, home=home)
            assert build(checkout, tag, home=home) == bento
            releases.set_bento_tag(engine, identity, bento)
            releases.promote(engine, identity)
    engine.dispose()
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


def test_a_changeover_under_load_fails_no_request(server: Server, root: Path) -> None:
    engine = open_store(f"sqlite:///{root / '.footfall' / 'store.db'}")
    first = champion_id(engine)
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

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    releases.promote(engine, second)
    engine.dispose()
    deadline = time.monotonic() + 20
    while second not in seen[-3:] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(seen) == {first, second}
    assert server.recommend()["release"] == second


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
