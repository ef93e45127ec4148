from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from footfall.errors import ServiceError
from footfall_cli import changeover
from footfall_cli.changeover import SteadyLoad

AT = datetime(2017, 11, 26, tzinfo=UTC)


class Service(ThreadingHTTPServer):
    """Answers slates in the name of `release`."""

    release = "r1"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service until the test ends."""
    monkeypatch.setattr(changeover, "AFTER_S", 0.1)

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            content = json.dumps({"release": server.release, "degraded": None, "items": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = Service(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_load_goes_on_until_the_new_release_answers(service: Service) -> None:
    with SteadyLoad(service.url, ["ann"], at=AT, rate=50) as load:
        load.start()
        while not load.traffic.releases["r1"]:
            time.sleep(0.01)
        service.release = "r2"
        load.wait_for("r2", timeout_s=10)
        traffic = load.stop()
    assert traffic.failed == 0
    assert list(traffic.releases) == ["r1", "r2"]
    assert sum(traffic.releases.values()) == traffic.sent


def test_a_service_that_does_not_change_over_is_an_error_that_names_who_answered(service: Service) -> None:
    with SteadyLoad(service.url, ["ann"], at=AT, rate=50) as load:
        load.start()
        with pytest.raises(ServiceError, match="r1"):
            load.wait_for("r2", timeout_s=0.5)
        load.stop()


def test_a_load_that_never_began_sent_nothing() -> None:
    with SteadyLoad("http://127.0.0.1:9", ["ann"], at=AT) as load:
        assert not load.started
        assert load.stop().sent == 0
