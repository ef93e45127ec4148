"""A workspace with a bento of its champion, and that bento served as an operator serves it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.random_bundle import write_random_bundle
from bentos import registry
from bentos.build import build
from footfall.pseudonyms import DEMO_KEY, write_key
from footfall.settings import TELEMETRY_OFF
from footfall.store import open_store, releases
from tests.trials import SOAK

AT = "2017-10-29T00:00:00Z"
NOON = datetime(2017, 10, 28, 12, tzinfo=UTC)
READY_WITHIN_S = 60.0  # 12 on two idle cores
BACK_WITHIN_S = 15 if SOAK else 60
"""After kill -9."""


class Server:
    """`python -m bentos serve` in a process of its own, on a free port, with all state in a folder of the test's."""

    def __init__(self, root: Path, checkout: Path) -> None:
        self.root, self.checkout = root, checkout
        self.url = f"sqlite:///{root / '.footfall' / 'store.db'}"
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> float:
        """Start it, and return the seconds until it is ready."""
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
        return self.seconds_until_ready()

    def seconds_until_ready(self) -> float:
        """How long it takes from now on."""
        assert self.process is not None
        started = time.monotonic()
        while not self.is_ready():
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < started + READY_WITHIN_S, self.log[-3000:]
            time.sleep(0.1)
        return time.monotonic() - started

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the supervisor and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def end(self, number: signal.Signals) -> None:
        """As `stop`; SIGKILL ends the workers at the same moment, so that nobody has time to write what waits."""
        workers = self.workers() if number == signal.SIGKILL else []
        assert self.process is not None
        self.process.send_signal(number)
        for worker in workers:
            worker.send_signal(number)
        self.process.wait(20)
        psutil.wait_procs(workers, 20)

    def workers(self) -> list[psutil.Process]:
        """Every process below the supervisor."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def log(self) -> str:
        return (self.root / "service.log").read_text(encoding="utf-8")

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
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

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Send one request on a connection of its own."""
        return self.ask("POST", path, body)

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


def make_workspace(root: Path, checkout: Path) -> None:
    """Two releases, the first of them champion and built into a bento."""
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
