from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from footfall.errors import ServiceError
from footfall_cli.orchestrator import Orchestrator

MADE_BY_AUTOMATION = {"id": "a1", "type": "AUTOMATION", "display_value": "retrain-on-drift"}


def record(state: str, **more: Any) -> dict[str, Any]:
    """A flow run as the server writes it."""
    return {"id": "run-1", "name": "busy-otter", "state": {"type": state, "message": "why"}, "parameters": {}, **more}


class Server:
    """Pages of a Prefect server: each path's answers in turn, the last one again and again."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.pages: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.statuses: list[int] = []
        pages, asked, statuses = self.pages, self.asked, self.statuses

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(None)

            def do_POST(self) -> None:
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, body: Any) -> None:
                path = self.path.removeprefix("/api")
                asked.append((path, body))
                answers = pages.get(path, [])
                content = json.dumps(answers.pop(0) if len(answers) > 1 else answers[0] if answers else {"detail": "Not Found"}).encode()
                self.send_response(statuses.pop(0) if statuses else 200 if answers else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.api = f"http://127.0.0.1:{self.http.server_address[1]}/api"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers until the test ends."""
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def test_a_deployment_is_found_by_name_and_started_with_its_parameters(server: Server) -> None:
    server.pages["/deployments/name/retrain/on-drift"] = [{"id": "d1"}]
    server.pages["/deployments/d1/create_flow_run"] = [record("SCHEDULED")]
    run = Orchestrator(server.api).start("retrain/on-drift", {"reason": "first training"})
    assert (run.run_id, run.final) == ("run-1", False)
    path, body = server.asked[-1]
    assert (path, body["parameters"]) == ("/deployments/d1/create_flow_run", {"reason": "first training"})


def test_who_created_a_run_is_the_servers_own_record(server: Server) -> None:
    server.pages["/flow_runs/run-1"] = [record("RUNNING", created_by=MADE_BY_AUTOMATION), record("RUNNING")]
    orchestrator = Orchestrator(server.api)
    assert orchestrator.run("run-1").created_by == ("AUTOMATION", "retrain-on-drift")
    assert orchestrator.run("run-1").created_by is None


def test_waiting_polls_until_the_run_has_completed(server: Server) -> None:
    server.pages["/flow_runs/run-1"] = [record("PENDING"), record("PENDING"), record("RUNNING"), record("COMPLETED")]
    polled: list[str] = []
    orchestrator = Orchestrator(server.api)
    done = orchestrator.wait(orchestrator.run("run-1"), timeout_s=5, on_poll=lambda run: polled.append(run.state), every_s=0.01)
    assert done.state == "COMPLETED"
    assert polled == ["PENDING", "RUNNING"]


def test_a_failed_run_is_an_error_with_what_it_logged(server: Server) -> None:
    server.pages["/flow_runs/run-1"] = [record("FAILED")]
    server.pages["/logs/filter"] = [[{"message": "last"}, {"message": "stage train failed"}]]
    orchestrator = Orchestrator(server.api)
    with pytest.raises(ServiceError, match=r"FAILED: why\nstage train failed\nlast"):
        orchestrator.wait(orchestrator.run("run-1"), timeout_s=5)


def test_a_run_that_does_not_end_is_given_up_in_time(server: Server) -> None:
    server.pages["/flow_runs/run-1"] = [record("RUNNING")]
    orchestrator = Orchestrator(server.api)
    with pytest.raises(ServiceError, match="did not end in time"):
        orchestrator.wait(orchestrator.run("run-1"), timeout_s=0.05, every_s=0.01)


def test_a_server_that_is_not_there_is_an_error_that_names_its_address() -> None:
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9"):
        Orchestrator("http://127.0.0.1:9/api").run("run-1")


def test_only_workers_on_line_count_and_an_unknown_pool_has_none(server: Server) -> None:
    orchestrator = Orchestrator(server.api)
    assert orchestrator.workers("footfall") == 0
    server.pages["/work_pools/footfall/workers/filter"] = [[{"status": "ONLINE"}, {"status": "OFFLINE"}]]
    assert orchestrator.workers("footfall") == 1


def test_a_traceback_in_a_log_is_told_by_its_last_lines_only(server: Server) -> None:
    traceback = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    f()\nfootfall.errors.ReleaseError: no bento\n  next: build one'
    server.pages["/logs/filter"] = [[{"message": traceback}]]
    assert Orchestrator(server.api).last_errors("run-1") == "footfall.errors.ReleaseError: no bento\n  next: build one"


def test_a_busy_server_is_asked_again_with_the_same_key_so_that_one_run_comes_of_it(server: Server) -> None:
    server.pages["/deployments/name/retrain/on-drift"] = [{"id": "d1"}]
    server.pages["/deployments/d1/create_flow_run"] = [record("SCHEDULED")]
    server.statuses[:] = [200, 503, 503, 200]
    assert Orchestrator(server.api).start("retrain/on-drift", {}).run_id == "run-1"
    assert len({body["idempotency_key"] for path, body in server.asked if path.endswith("create_flow_run")}) == 1


def test_any_other_refusal_is_an_error_at_once(server: Server) -> None:
    server.pages["/flow_runs/run-1"] = [{"detail": "no"}]
    server.statuses[:] = [422]
    with pytest.raises(ServiceError, match="422"):
        Orchestrator(server.api).run("run-1")


def test_a_server_that_is_silent_for_a_while_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/flow_runs/run-1"] = [record("RUNNING")]
    answering, silent = urllib.request.urlopen, [TimeoutError("timed out"), urllib.error.URLError(TimeoutError("timed out"))]

    def hesitating(*arguments: Any, **options: Any) -> Any:
        if silent:
            raise silent.pop()
        return answering(*arguments, **options)

    monkeypatch.setattr("urllib.request.urlopen", hesitating)
    assert Orchestrator(server.api).run("run-1").run_id == "run-1"
    monkeypatch.setattr("footfall_cli.orchestrator.BUSY_S", -1.0)
    silent.append(TimeoutError("timed out"))
    with pytest.raises(ServiceError, match="does not answer"):
        Orchestrator(server.api).run("run-1")
