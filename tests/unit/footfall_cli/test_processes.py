from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from footfall.errors import ServiceError
from footfall_cli import ledger, processes, production
from footfall_cli.processes import Processes, free_ports, stop_leftovers

# A service with a child of its own that has left its process group: stopping must find both.
SERVICE = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("child", child.pid, flush=True)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service is a small page server; `reports` ends at once, saying why."""

    def command(name: str, root: Path, ports: production.Ports) -> list[str]:
        if name == "service":
            return [sys.executable, "-c", SERVICE, str(ports.service)]
        return [sys.executable, "-c", "print('no workspace, so no reports'); raise SystemExit(3)"]

    monkeypatch.setattr(production, "command", command)
    return


def is_gone(pid: int) -> bool:
    """Whether no living process has this pid; a zombie that waits for its reaper is gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def started(root: Path) -> tuple[Processes, list[int]]:
    """A running service and the pids of itself and its child."""
    up = Processes(root)
    up.start("service")
    up.wait_ready("service")
    pids = [up.entries[0].pid, int(up.log("service").read_text().split()[1])]
    return up, pids


@pytest.mark.usefixtures("lines")
def test_stopping_ends_a_service_and_its_child_in_another_process_group(tmp_path: Path) -> None:
    up, pids = started(tmp_path)
    assert not any(is_gone(pid) for pid in pids)
    up.stop()
    assert all(is_gone(pid) for pid in pids)
    assert not ledger.ledger_path(tmp_path).exists()


@pytest.mark.usefixtures("lines")
def test_leftovers_of_an_interrupted_run_are_stopped_by_the_next_one(tmp_path: Path) -> None:
    up, pids = started(tmp_path)
    assert stop_leftovers(tmp_path) >= 1
    up._children[0].wait(timeout=10)
    wait_for(lambda: all(is_gone(pid) for pid in pids))
    assert stop_leftovers(tmp_path) == 0


def test_a_process_that_got_a_leftovers_pid_meanwhile_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        entry = ledger.Entry("service", bystander.pid, time.time() - 5000, "mark", ["x"], None, None)
        ledger.add_entry(tmp_path, entry)
        assert not ledger.is_running(entry)
        assert stop_leftovers(tmp_path) == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_what_make_up_runs_is_not_stopped_for_a_demo(tmp_path: Path) -> None:
    own = psutil.Process()
    ledger.add_entry(tmp_path, ledger.Entry("service", own.pid, own.create_time(), "mark", ["x"], None, None, "up"))
    with pytest.raises(ServiceError, match="make up"):
        stop_leftovers(tmp_path)


@pytest.mark.usefixtures("lines")
def test_a_process_that_ends_at_once_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as up:
        up.start("reports")
        with pytest.raises(ServiceError, match="no workspace, so no reports"):
            up.wait_ready("reports")


@pytest.mark.usefixtures("lines")
def test_a_service_that_never_answers_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(processes.READY_TIMEOUT_S, "service", 0.3)
    with Processes(tmp_path) as up:
        up.start("service")
        with pytest.raises(ServiceError, match="no answer within"):
            up.wait_ready("service", lambda: False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_everything_down(tmp_path: Path, number: signal.Signals, checkout: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(
        textwrap.dedent("""
        import pathlib, signal, sys, time
        from footfall_cli import production
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
        from footfall_cli.processes import Processes
        production.command = lambda name, root, ports: [sys.executable, "-c", SERVICE, str(ports.service)]
        with Processes(pathlib.Path(sys.argv[1])) as up:
            up.start("service")
            up.wait_ready("service")
            print("ready", up.entries[0].pid, up.log("service").read_text().split()[1], flush=True)
            time.sleep(60)
        """).replace("SERVICE", repr(SERVICE)),
        encoding="utf-8",
    )
    path = os.pathsep.join([str(checkout / "src"), str(checkout)])
    holder = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert holder.stdout is not None
    with holder.stdout:
        pids = [int(pid) for pid in holder.stdout.readline().split()[1:]]
        assert len(pids) == 2
        holder.send_signal(number)
        assert holder.wait(timeout=30) != 0
    assert all(is_gone(pid) for pid in pids)


def test_free_ports_are_three_different_ones() -> None:
    ports = free_ports()
    assert len({ports.orchestrator, ports.service, ports.reports}) == 3


def test_memory_counts_descendants(tmp_path: Path, lines: None) -> None:
    up, _ = started(tmp_path)
    try:
        assert up.sample_memory() > psutil.Process(up.entries[0].pid).memory_full_info().pss
    finally:
        up.stop()
