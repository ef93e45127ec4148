"""The HTTP service against a bare FastAPI endpoint with eager torch: latency at 50 requests a second, and the highest rate that it keeps up.

    python -m benchmarks serve [--bundle DIR] [--full]

Both serve the same bundle (random weights, 12,000 items), one worker on one core; the load comes from the other core in an open loop. Histories of
50 events are in the request, and nothing is stored for nobody in particular; there are more of them than the service remembers, so each is read
anew. Further rows have users whose history is in the store, their exposures logged. They, start and memory are measured with a named bundle too: the
random one has neither habits nor chances. Ours is the built bento, served from its copy.
"""

from __future__ import annotations

import argparse
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
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.open_loop import drive_apart, histories, on_core, stored
from benchmarks.race import Row, write_race
from benchmarks.random_bundle import write_random_bundle
from benchmarks.reading_on import reading_on
from footfall.arrays.vocabularies import read_vocabulary
from footfall.bundle import release_id

ITEMS, EVENTS, USERS = 12_000, 50, 2_000
_STEADY, _STEADY_S = 50.0, 10.0
_WITHIN_MS = 50.0
_RATES = (100, 150, 200, 300, 400, 500, 600, 700, 850, 1000, 1200, 1400, 1700, 2000, 2400, 2800)
_CONNECTIONS = 64
_PORTS = {"footfall": 3911, "eager": 3912}


@dataclass
class Server:
    """A process that answers, what it took to get there, and how often it was asked."""

    port: int
    process: subprocess.Popen[bytes]
    first_answer_s: float
    asked: int = 0

    def memory_mib(self) -> float:
        """Resident size of the largest of its processes: the worker."""
        return max(int(_fact(number, "statm")[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 for number in self.family())

    def facts(self) -> dict[str, float]:
        """What a start and a worker take."""
        return {"first answer, s": self.first_answer_s, "memory, MiB": self.memory_mib()}

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


@dataclass
class Shop:
    """A bundle to serve.

    Attributes:
        bundle: its folder.
        state: where ours keeps its store, its bento and its log.
        items: how many it knows.
        bodies: requests with a history each, of its items.
    """

    bundle: Path
    state: Path
    items: int
    bodies: list[dict[str, Any]]

    @classmethod
    def of(cls, bundle: Path, state: Path) -> Shop:
        """Of any bundle."""
        items = read_vocabulary(bundle).item_ids
        return cls(bundle, state, len(items), histories(items, USERS, EVENTS))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The option of this race alone."""
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="a bundle that ours serves too, alone: start, memory and the full path")


def run(root: Path, full: bool, options: argparse.Namespace | None = None) -> Path:
    """Both in turns, then ours alone with its store; so too with the bundle that is named."""
    folder = root / ".footfall" / "bench" / "serve"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        named = Shop.of(options.bundle, folder / "named") if options and options.bundle else None
        write_random_bundle(folder / "bundle", items=ITEMS, seed=1)
        shop = Shop.of(folder / "bundle", folder / "random")
        rows = in_turns(root, shop, rounds=3 if full else 2) + full_path(root, shop)
        if named:
            rows += full_path(root, named, f"{release_id(named.bundle)} of {named.items:,} items")
        rows += reading_on(shop.bundle)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return write_race(root, "serve", rows, ["footfall", "bentoml", "fastapi", "uvicorn", "torch", "numpy"])


def in_turns(root: Path, shop: Shop, rounds: int) -> list[Row]:
    """Both, history in the request."""
    steady: dict[str, list[dict[str, Any]]] = {name: [] for name in _PORTS}
    peaks: dict[str, list[float]] = {name: [] for name in _PORTS}
    facts: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, serve in (("footfall", _footfall), ("eager", _eager)):
            with serve(root, shop) as server:
                load(server, 200, 3, shop.bodies)
                before = server.cpu_seconds()
                found = load(server, _STEADY, _STEADY_S, shop.bodies)
                found["cpu_ms"] = (server.cpu_seconds() - before) / found["sent"] * 1_000
                steady[name].append(found)
                peaks[name].append(peak(server, shop.bodies))
                facts[name] = server.facts()
    return compare(steady, peaks, facts)


def full_path(root: Path, shop: Shop, named: str | None = None) -> list[Row]:
    """Ours alone, by user: histories from the store, exposures logged. Start and memory are told of a bundle that is named."""
    with _footfall(root, shop) as server:
        users = stored(server.port, shop.bodies)
        load(server, 100, 3, users)
        ten, hundred = (load(server, _STEADY, _STEADY_S, [{**user, "k": k} for user in users]) for k in (10, 100))
        best, facts = peak(server, users), server.facts()
    what = f"{named}, the full path, store and exposures on" if named else "the full path, store and exposures on"
    rows = [
        Row(f"{what}: p99 at 50 a second", "ms", ten["p99"], target=_WITHIN_MS, at_least=False, notes=ten),
        Row(f"{what}: p99 at 50 a second, slates of 100", "ms", hundred["p99"], target=_WITHIN_MS, at_least=False, notes=hundred),
        Row(f"{what}: highest rate with p99 within 50 ms", "a second", best),
    ]
    return [*_start_and_memory(f"{named}, ", facts), *rows] if named else rows


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
        *_start_and_memory("", facts["footfall"], notes=dict(facts)),
    ]


def _start_and_memory(of: str, ours: dict[str, float], notes: dict[str, Any] | None = None) -> list[Row]:
    return [
        Row(f"{of}start to first answer, one worker", "s", ours["first answer, s"], target=12.0, at_least=False, notes=notes),
        Row(f"{of}memory of a worker", "MiB", ours["memory, MiB"], target=600e6 / 2**20, at_least=False),
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
    """One open loop from the other core. It begins with whose turn it is, so that nobody is asked for again before all others were."""
    first = server.asked % len(bodies)
    found = drive_apart(server.port, rate, seconds, _CONNECTIONS, bodies[first:] + bodies[:first])
    server.asked += int(found["sent"])
    return found


@contextmanager
def _footfall(root: Path, shop: Shop) -> Iterator[Server]:
    """The built bento with a store of its own."""
    from bentos import registry
    from bentos.build import build
    from footfall.pseudonyms import DEMO_KEY, write_key
    from footfall.settings import TELEMETRY_OFF
    from footfall.store import open_store, releases

    state, identity, home = shop.state, release_id(shop.bundle), shop.state / ".footfall" / "bentoml"
    if not state.exists():
        write_key(state / ".footfall" / "pseudonym.key", DEMO_KEY)
        engine = open_store(f"sqlite:///{state / '.footfall' / 'store.db'}")
        tag = registry.register(shop.bundle, identity, {}, home=home)
        moment = datetime(2017, 10, 29, tzinfo=UTC)
        releases.add(engine, releases.Release(identity, tag, "candidate", moment, moment))
        releases.set_bento_tag(engine, identity, build(root, tag, home=home))
        releases.promote(engine, identity)
        engine.dispose()
    environment = {**os.environ, **TELEMETRY_OFF, "FOOTFALL_ROOT": str(state), "FOOTFALL_PORT": str(_PORTS["footfall"]), "BENTOML_HOME": str(home)}
    environment["PYTHONPATH"] = os.pathsep.join([str(root / "src"), str(root)])
    yield from _running([sys.executable, "-m", "bentos", "serve"], state, environment, _PORTS["footfall"], shop)


@contextmanager
def _eager(root: Path, shop: Shop) -> Iterator[Server]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]), "OMP_NUM_THREADS": "1"}
    port = _PORTS["eager"]
    yield from _running([sys.executable, "-m", "benchmarks.contestants.serve_eager", str(shop.bundle), str(port)], root, environment, port, shop)


def _running(command: list[str], folder: Path, environment: dict[str, str], port: int, shop: Shop) -> Iterator[Server]:
    """The server, from its first answer on; at the end it is gone."""
    began = time.perf_counter()
    log = shop.state.with_suffix(".log")
    with log.open("ab") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=lambda: on_core(0),  # noqa: PLW1509
        )
    try:
        while not _answers(port, shop.bodies[0]):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"{command[2]} did not start: {log.read_text(errors='replace')[-2_000:]}")
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


def _answers(port: int, body: dict[str, Any]) -> bool:
    text = json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/recommend", text, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
