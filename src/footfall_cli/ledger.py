"""Which processes of production run for a workspace: pids, ports and marks in `.footfall/services.json`.

A process is ours only when its pid, its start time and its mark (an environment variable that its children inherit) all agree;
a number that the system gave to somebody else meanwhile is left alone. This module starts nothing.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from footfall.paths import Paths

MARK = "FOOTFALL_SERVICES_MARK"
"""Environment variable that marks a started process and all its descendants."""

GRACE_S = 12.0
"""Seconds between the polite signal and the last one."""


@dataclass(frozen=True)
class Entry:
    """One started process.

    Attributes:
        name: orchestrator, worker, service or reports.
        pid: its process id, also its process group.
        started: when the system says it began, seconds since the epoch.
        mark: value of `MARK` in its environment.
        command: its command line.
        url: where it answers, if it listens.
        log: file that holds its output, if it has one.
        keeper: who looks after it: "demo", or "up" for a Procfile's process.
    """

    name: str
    pid: int
    started: float
    mark: str
    command: list[str]
    url: str | None
    log: str | None
    keeper: str = "demo"


def ledger_path(root: Path) -> Path:
    """Where the ledger of `root` lies."""
    return Paths(root).state / "services.json"


def read_ledger(root: Path) -> list[Entry]:
    """Entries written for `root`; none when there is no ledger or an interrupted write left half of one."""
    try:
        return [Entry(**entry) for entry in json.loads(ledger_path(root).read_text(encoding="utf-8"))]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def write_ledger(root: Path, entries: list[Entry]) -> None:
    """Replace the ledger in one step; an empty one is removed."""
    path = ledger_path(root)
    if not entries:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps([asdict(entry) for entry in entries], indent=1), encoding="utf-8")
    temporary.replace(path)


def add_entry(root: Path, entry: Entry) -> None:
    """Add one entry; an older one of the same name gives way."""
    write_ledger(root, [kept for kept in read_ledger(root) if kept.name != entry.name] + [entry])


def is_running(entry: Entry) -> bool:
    """Whether this very process, not a later owner of its pid, still runs."""
    try:
        process = psutil.Process(entry.pid)
        return abs(process.create_time() - entry.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(entries: list[Entry]) -> list[psutil.Process]:
    """Every living process that descends from these entries: itself, or anybody who inherited its mark."""
    marks = {entry.mark for entry in entries}
    roots = {entry.pid for entry in entries if is_running(entry)}
    own = {os.getpid(), os.getppid()}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            if process.status() != psutil.STATUS_ZOMBIE and (process.pid in roots or process.environ().get(MARK) in marks):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # gone meanwhile, or not ours to read: then it is not ours to stop either
    return found


def stop_entries(root: Path, entries: list[Entry], *, grace_s: float = GRACE_S) -> int:
    """Stop these entries and all their descendants, politely first, and strike them off the ledger; return how many processes were stopped."""
    stopped: set[int] = set()
    for entry in entries:  # the leaders first: a worker takes its own runs down, a server closes its database
        if is_running(entry):
            _send(psutil.Process(entry.pid), signal.SIGTERM)
            stopped.add(entry.pid)
    deadline = time.monotonic() + grace_s
    while (alive := family(entries)) and time.monotonic() < deadline:
        if not any(is_running(entry) for entry in entries) or time.monotonic() > deadline - grace_s / 2:
            for process in alive:  # children that the leaders left behind
                stopped.add(process.pid)
                _send(process, signal.SIGTERM)
        time.sleep(0.2)
    for process in family(entries):
        stopped.add(process.pid)
        _send(process, signal.SIGKILL)
    names = {(entry.name, entry.pid) for entry in entries}
    write_ledger(root, [kept for kept in read_ledger(root) if (kept.name, kept.pid) not in names])
    return len(stopped)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
