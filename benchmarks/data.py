"""Generated clicks to sessions, time split and arrays: ours, arrays written, against scripts and libraries that stop at lists in memory.

Each run is a process of its own, which times itself after its imports; the contestants take turns. What is asked for stands in `contestants.task`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clicks import write_clicks
from benchmarks.environments import python_with
from benchmarks.race import Row, interleaved, write_race

_RACED = 10_000_000
_SIZES = (1_000_000, _RACED, 50_000_000)
_MEMORY_MIB = 4096.0
_COUNTS = ("events", "users", "items", "sessions", "train")
_ENVIRONMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "polars": (("polars==2.1.0",),),
    # torch first: whatever else accepts any torch would bring the one with CUDA.
    "replay": (
        ("torch==2.13.0",),
        ("replay-rec==0.22.0", "lightning<3", "pytorch-optimizer>=3.8,<4", "pandas<3", "pyarrow<24"),
    ),
}
_TARGETS = {"pandas": 2.5, "replay": 2.0, "polars": 0.7}


@dataclass
class Contestant:
    """One who races: its Python, and what it said in each run."""

    name: str
    python: Path
    said: list[dict[str, Any]] = field(default_factory=list)

    def run(self, root: Path, clicks: Path) -> dict[str, Any]:
        """One process; the folder that it writes to is gone afterwards.

        Raises:
            RuntimeError: it failed.
        """
        folder = Path(tempfile.mkdtemp(prefix="race-", dir=clicks.parent))
        command = [str(self.python), str(root / "benchmarks" / "contestants" / "clock.py"), self.name, str(clicks), str(folder)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if self.name == "footfall":
            environment["PYTHONPATH"] = str(root / "src")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        finally:
            shutil.rmtree(folder)
        if done.returncode:
            raise RuntimeError(f"{self.name} failed: {done.stderr.strip()[-2000:]}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.said.append(said)
        return said

    @property
    def rate(self) -> float:
        """Median events a second."""
        return float(median(one["events"] / one["seconds"] for one in self.said))

    def notes(self) -> dict[str, Any]:
        """What a reader needs to trust the rate."""
        return {
            "version": self.said[-1]["version"],
            "seconds": [round(one["seconds"], 2) for one in self.said],
            "cpu_seconds": [round(one["cpu_seconds"], 2) for one in self.said],
            "peak_mib": round(max(one["peak_mib"] for one in self.said)),
        }


def run(root: Path, full: bool) -> Path:
    """Race at 10 million events, three rounds (`full`: five), then ours alone at 1, 10 and 50 million."""
    scratch = root / ".footfall" / "bench" / "data"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        clicks = _clicks(scratch, _RACED)
        contestants, missing = _contestants(root)
        rounds: dict[str, Callable[[], float]] = {one.name: lambda one=one: one.run(root, clicks)["seconds"] for one in contestants}  # type: ignore[misc]
        interleaved(rounds, 5 if full else 3)
        _agree(contestants)
        rows = _race_rows(contestants, missing) + _size_rows(root, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return write_race(root, "data", rows, ["footfall", "duckdb", "ibis-framework", "numpy", "pyarrow"])


def _contestants(root: Path) -> tuple[list[Contestant], list[str]]:
    """Everybody who can race, ours first, and the names of those who cannot."""
    found, missing = [Contestant("footfall", Path(sys.executable))], []
    for name, steps in _ENVIRONMENTS.items():
        python = python_with(root, name, *steps)
        if python is None:
            missing.append(name)
        else:
            found.append(Contestant(name, python))
    pandas = next((one.python for one in found if one.name == "replay"), Path(sys.executable))  # pandas 2, which is the faster at this
    return [*found, Contestant("pandas", pandas), Contestant("duckdb", Path(sys.executable))], missing


def _agree(contestants: list[Contestant]) -> None:
    """Refuse figures of contestants that did not find the same."""
    counts = {one.name: [said[name] for name in _COUNTS] for one in contestants for said in one.said}
    if len({tuple(count) for count in counts.values()}) != 1:
        raise RuntimeError(f"the contestants disagree on {_COUNTS}: {counts}")


def _race_rows(contestants: list[Contestant], missing: list[str]) -> list[Row]:
    ours, *peers = contestants
    what = f"{_RACED // 1_000_000} million clicks to sessions, split and arrays"
    found = {name: ours.said[-1][name] for name in _COUNTS}
    rows = [Row(what, "events/s", ours.rate, target=1e6, notes=ours.notes() | {"found": found, "missing_peers": missing})]
    for peer in peers:
        named = peer.said[-1]["version"]
        rows.append(Row(what, "events/s", ours.rate, peer.rate, named, _TARGETS.get(peer.name), notes=peer.notes()))
    return rows


def _size_rows(root: Path, scratch: Path) -> list[Row]:
    """Ours alone at every size: how cost grows."""
    rows = []
    for size in _SIZES:
        clicks = _clicks(scratch, size)
        ours = Contestant("footfall", Path(sys.executable))
        said = ours.run(root, clicks)
        clicks.unlink()
        what, limit = f"{size // 1_000_000} million clicks, ours alone", _MEMORY_MIB if size == max(_SIZES) else None
        rows.append(Row(f"{what}: time", "s", said["seconds"], notes=ours.notes() | {"events_a_second": round(size / said["seconds"])}))
        rows.append(Row(f"{what}: processor time an event", "us", said["cpu_seconds"] / size * 1e6))
        rows.append(Row(f"{what}: peak memory", "MiB", said["peak_mib"], target=limit, at_least=False))
    return rows


def _clicks(scratch: Path, events: int) -> Path:
    path = scratch / f"clicks-{events}.parquet"
    if not path.exists():
        write_clicks(path, events)
    return path
