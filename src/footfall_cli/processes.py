"""Starting and stopping the processes of production for one workspace, on given or free loopback ports.

Used as a context: whatever was started is stopped at the end, also after an error, Ctrl-C or SIGTERM, unless it is to be kept.
A start after an interrupted one first stops what that left behind (only what carries its mark).
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import psutil

from footfall.errors import ServiceError
from footfall.paths import Paths
from footfall_cli import production
from footfall_cli.ledger import MARK, Entry, add_entry, is_running, read_ledger, stop_entries

READY_TIMEOUT_S = {"orchestrator": 120.0, "worker": 90.0, "service": 180.0, "reports": 90.0}


def free_ports() -> production.Ports:
    """Three loopback ports that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind((production.LOOPBACK, 0))
        return production.Ports(*(each.getsockname()[1] for each in sockets))


def stop_leftovers(root: Path) -> int:
    """Stop what an interrupted or kept run of `root` left running; return how many processes.

    Raises:
        ServiceError: `make up` runs there: that is for its user to stop.
    """
    entries = read_ledger(root)
    if up := [f"{entry.name} (pid {entry.pid})" for entry in entries if entry.keeper == "up" and is_running(entry)]:
        raise ServiceError(
            "production runs in this workspace",
            where=root,
            expected="nothing running",
            found=", ".join(up),
            next_step="stop `make up` (Ctrl-C) first",
        )
    return stop_entries(root, entries)


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"


class Processes:
    """The processes of one workspace, from start to stop.

    Args:
        root: the workspace.
        ports: where they listen (default: free ones).
        extra: environment variables on top of `flows.environment.process_environment`.
        keep: leave everything running at a normal end.
    """

    def __init__(self, root: Path, *, ports: production.Ports | None = None, extra: Mapping[str, str] | None = None, keep: bool = False) -> None:
        """Decide ports and environment; start nothing."""
        self.root = root
        self.ports = ports or free_ports()
        self.mark = uuid.uuid4().hex
        self.keep = keep
        self.environment = production.environment(root, self.ports, {**(extra or {}), MARK: self.mark})
        self.entries: list[Entry] = []
        self.peak_bytes = 0
        self._handlers: dict[int, object] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Stop leftovers, and turn SIGTERM and SIGHUP into an orderly end."""
        stop_leftovers(self.root)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _leave)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything, unless it is to be kept and nothing went wrong."""
        if not (self.keep and kind is None):
            self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned

    def log(self, name: str) -> Path:
        """Where the output of `name` goes."""
        return Paths(self.root).logs / f"{name}.log"

    def start(self, name: str) -> None:
        """Start one process in a session of its own and note it in the ledger; it is not ready yet."""
        path = self.log(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        line = production.command(name, self.root, self.ports)
        if name == "reports":
            production.reports_workspace(self.root).mkdir(parents=True, exist_ok=True)
        env = production.own_environment(name, self.root, self.environment)
        with path.open("ab") as output:
            process = subprocess.Popen(
                line, cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._children.append(process)
        entry = Entry(name, process.pid, psutil.Process(process.pid).create_time(), self.mark, line, self.ports.url(name), str(path))
        self.entries.append(entry)
        add_entry(self.root, entry)

    def wait_ready(self, name: str, ready: Callable[[], bool] | None = None) -> None:
        """Wait until `name` answers.

        Raises:
            ServiceError: it ended, or did not answer in time; the end of its log is in the message.
        """
        page = self.ports.ready_url(name)
        check = ready or (lambda: page is not None and production.answers(page))
        entry = next(entry for entry in self.entries if entry.name == name)
        deadline = time.monotonic() + READY_TIMEOUT_S[name]
        while not check():
            if not is_running(entry):
                raise self._failure(name, "ended at once")
            if time.monotonic() > deadline:
                raise self._failure(name, f"no answer within {READY_TIMEOUT_S[name]:.0f} s")
            time.sleep(0.2)

    def call(self, name: str, arguments: list[str], *, timeout_s: float = 300.0) -> None:
        """Run one Python module to its end in the workspace's environment, its output in the logs.

        Raises:
            ServiceError: it failed or took too long.
        """
        import sys

        path = self.log(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as output:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", *arguments],
                    cwd=self.root,
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise self._failure(name, f"not done within {timeout_s:.0f} s") from error
        if done.returncode:
            raise self._failure(name, f"exit {done.returncode}")

    def sample_memory(self) -> int:
        """Proportional memory of this process and all it started, in bytes; the largest so far is kept in `peak_bytes`."""
        from footfall_cli.ledger import family

        total = 0
        for process in [psutil.Process(), *family(self.entries)]:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # ended between listing and asking
        self.peak_bytes = max(self.peak_bytes, total)
        return total

    def stop(self) -> None:
        """Stop everything that was started, and all its descendants."""
        stop_entries(self.root, self.entries)
        for child in self._children:
            child.wait(timeout=10)
        self.entries, self._children = [], []

    def _failure(self, name: str, found: str) -> ServiceError:
        path = self.log(name)
        return ServiceError(f"{name} did not do its part", where=path, expected="ready", found=f"{found}\n{log_tail(path)}", next_step=f"read {path}")


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that everything is taken down on the way out."""
    raise SystemExit(128 + number)
