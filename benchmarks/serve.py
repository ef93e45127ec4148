"""The HTTP service against a bare FastAPI endpoint with eager torch: latency at 50 requests a second, and the highest rate that it keeps up.

Both serve the same bundle (random weights, 12,000 items), one worker on one core; the load comes from the other core in an open loop. Histories of
50 events are in the request, and nothing is stored for nobody in particular; there are more of them than the service remembers, so each is read
anew. A second row has users whose history is in the store, their exposures logged. Ours is the built bento, served from its copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.race import Row, write_race
from benchmarks.random_bundle import write_random_bundle
from benchmarks.reading_on import reading_on

ITEMS, EVENTS, USERS = 12_000, 50, 2_000
_STEADY, _STEADY_S = 50.0, 10.0
_WITHIN_MS = 50.0
_RATES = (100, 150, 200, 300, 400, 500, 600, 700, 850, 1000, 1200, 1400, 1700, 2000, 2400, 2800)
_CONNECTIONS = 64
_PORTS = {"footfall": 3911, "eager": 3912}


@dataclass
class Server:
    """A process that answers, and what it took to get there."""

    port: int
    process: subprocess.Popen[bytes]
    first_answer_s: float

    def memory_mib(self) -> float:
        """Resident size of the largest of its processes: the worker."""
        return max(int(_fact(number, "statm")[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 for number in self.family())

    def cpu_seconds(self) -> float:
        """Of all its processes so far."""
        return sum(float(_fact(number, "stat")[13]) + float(_fact(number, "stat")[14]) for number in self.family()) / os.sysconf("SC_CLK_TCK")

    def family(self) -> list[int]:
        """The process and all that come from it."""
        parents = {number: int(_fact(number, "stat")[3]) for number in _processes()}
        found = [self.process.pid]
        for number in found:
            found += [child for child, parent in parents.items() if parent == number]
        return found


def run(root: Path, full: bool) -> Path:
    """Both in turns."""
    folder = root / ".footfall" / "bench" / "serve"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        identity = write_random_bundle(folder / "bundle", items=ITEMS, seed=1)
        bodies = _bodies()
        steady: dict[str, list[dict[str, Any]]] = {name: [] for name in _PORTS}
        peaks: dict[str, list[float]] = {name: [] for name in _PORTS}
        facts: dict[str, dict[str, float]] = {}
        for _ in range(3 if full else 2):
            for name in _PORTS:
                with _footfall(root, folder, identity) if name == "footfall" else _eager(root, folder) as server:
                    load(server, 200, 3, bodies)
                    before = server.cpu_seconds()
                    found = load(server, _STEADY, _STEADY_S, bodies)
                    found["cpu_ms"] = (server.cpu_seconds() - before) / found["sent"] * 1_000
                    steady[name].append(found)
                    peaks[name].append(peak(server, bodies))
                    facts[name] = {"first answer, s": server.first_answer_s, "memory, MiB": server.memory_mib()}
        with _footfall(root, folder, identity) as server:
            users = _store(server)
            load(server, 100, 3, users)
            stored, stored_peak = load(server, _STEADY, _STEADY_S, users), peak(server, users)
        incremental = reading_on(folder / "bundle")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = compare(steady, peaks, facts)
    rows.append(Row("the full path, store and exposures on: p99 at 50 a second", "ms", stored["p99"], notes=stored))
    rows.append(Row("the full path, store and exposures on: highest rate with p99 within 50 ms", "a second", stored_peak))
    rows += incremental
    return write_race(root, "serve", rows, ["footfall", "bentoml", "fastapi", "uvicorn", "torch", "numpy"])


def compare(steady: dict[str, list[dict[str, Any]]], peaks: dict[str, list[float]], facts: dict[str, dict[str, float]]) -> list[Row]:
    """Medians over the rounds."""
    named = "FastAPI and eager torch"
    p99, p50, cpu = ({name: median(one[part] for one in found) for name, found in steady.items()} for part in ("p99", "p50", "cpu_ms"))
    best = {name: median(found) for name, found in peaks.items()}
    what = f"slate of 10 from {ITEMS:,} items, {EVENTS} events in the request"
    return [
        Row(f"{what}: p99 at 50 a second", "ms", p99["footfall"], p99["eager"], named, 1.25, at_least=False, notes=dict(steady)),
        Row(f"{what}: p50 at 50 a second", "ms", p50["footfall"], p50["eager"], named),
        Row(f"{what}: processor time", "ms", cpu["footfall"], cpu["eager"], named),
        Row(f"{what}: highest rate with p99 within 50 ms", "a second", best["footfall"], best["eager"], named, 2.0, notes=dict(peaks)),
        Row("start to first answer, one worker", "s", facts["footfall"]["first answer, s"], target=12.0, at_least=False, notes=dict(facts)),
        Row("memory of a worker", "MiB", facts["footfall"]["memory, MiB"], target=600.0, at_least=False),
    ]


def peak(server: Server, bodies: list[dict[str, Any]]) -> float:
    """The highest of _RATES at which p99 stays within 50 ms and every answer is 200; two misses in a row end the search."""
    best, misses = 0.0, 0
    for rate in _RATES:
        found = load(server, rate, 4, bodies)
        if found["statuses"] == {"200": found["sent"]} and found["p99"] <= _WITHIN_MS:
            best, misses = float(rate), 0
        elif (misses := misses + 1) == 2:
            break
        time.sleep(0.5)
    return best


def load(server: Server, rate: float, seconds: float, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """One open loop from the other core."""
    command = [sys.executable, "-m", "benchmarks.open_loop", str(server.port), str(rate), str(seconds), str(_CONNECTIONS)]
    done = subprocess.run(command, input=json.dumps(bodies).encode(), capture_output=True, check=True, preexec_fn=lambda: _on_core(-1))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _footfall(root: Path, folder: Path, identity: str) -> Iterator[Server]:
    """The built bento with a store of its own."""
    from bentos import registry
    from bentos.build import build
    from footfall.pseudonyms import DEMO_KEY, write_key
    from footfall.settings import TELEMETRY_OFF
    from footfall.store import open_store, releases

    state = folder / "state"
    home = state / ".footfall" / "bentoml"
    if not state.exists():
        write_key(state / ".footfall" / "pseudonym.key", DEMO_KEY)
        engine = open_store(f"sqlite:///{state / '.footfall' / 'store.db'}")
        tag = registry.register(folder / "bundle", identity, {}, home=home)
        moment = datetime(2017, 10, 29, tzinfo=UTC)
        releases.add(engine, releases.Release(identity, tag, "candidate", moment, moment))
        releases.set_bento_tag(engine, identity, build(root, tag, home=home))
        releases.promote(engine, identity)
        engine.dispose()
    environment = {**os.environ, **TELEMETRY_OFF, "FOOTFALL_ROOT": str(state), "FOOTFALL_PORT": str(_PORTS["footfall"]), "BENTOML_HOME": str(home)}
    environment["PYTHONPATH"] = os.pathsep.join([str(root / "src"), str(root)])
    yield from _running([sys.executable, "-m", "bentos", "serve"], state, environment, _PORTS["footfall"])


@contextmanager
def _eager(root: Path, folder: Path) -> Iterator[Server]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]), "OMP_NUM_THREADS": "1"}
    port = _PORTS["eager"]
    yield from _running([sys.executable, "-m", "benchmarks.contestants.serve_eager", str(folder / "bundle"), str(port)], root, environment, port)


def _running(command: list[str], folder: Path, environment: dict[str, str], port: int) -> Iterator[Server]:
    """The server, from its first answer on; at the end it is gone."""
    began = time.perf_counter()
    log = folder / "serve.log" if folder.name == "state" else Path(os.devnull)
    with log.open("ab") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=lambda: _on_core(0),  # noqa: PLW1509
        )
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"{command[-2]} did not start; see {log}")
            time.sleep(0.05)
        yield Server(port, process, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(30)


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _fact(process: int, name: str) -> list[str]:
    """Fields of a file below /proc; a name with spaces, which stands in brackets, is one; zeros for a process that has ended."""
    try:
        text = Path(f"/proc/{process}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 52
    head, _, tail = text.rpartition(")")
    return [*(head.split(" ", 1) if head else []), *tail.split()]


def _answers(port: int) -> bool:
    body = json.dumps(_bodies(1)[0]).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/recommend", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _on_core(number: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number]})


def _bodies(users: int = USERS) -> list[dict[str, Any]]:
    """Requests with a history each, of the last month."""
    random, now = np.random.default_rng(7), datetime.now(UTC) - timedelta(minutes=5)
    found = []
    for _ in range(users):
        hours = np.sort(random.uniform(0, 720, EVENTS))[::-1]
        events = [
            {"event_type": "view" if n % 5 else "purchase", "item_id": f"item{item:05d}", "occurred_at": (now - timedelta(hours=hour)).isoformat()}
            for n, (item, hour) in enumerate(zip(random.integers(0, ITEMS, EVENTS).tolist(), hours.tolist(), strict=True))
        ]
        found.append({"events": events, "k": 10})
    return found


def _store(server: Server) -> list[dict[str, Any]]:
    """Put the histories into the store; requests that ask by user."""
    for number, body in enumerate(_bodies()):
        events = [{"user_id": f"user{number}", **event} for event in body["events"]]
        text = json.dumps({"events": events}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/events", text, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    return [{"user_id": f"user{number}", "k": 10} for number in range(USERS)]
