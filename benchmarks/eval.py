"""Full-rank evaluation: recall, ndcg, mrr and hit rate at 5, 10 and 20 of 22,363 users among 12,101 items, histories masked, from vectors of 64.

Each run is a process of its own, which times itself from vectors and histories to the twelve figures; the contestants take turns, and figures that
differ by more than 1e-9 are refused. What is asked for, and why results can be equal, stands in `contestants.eval_task`.
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

import numpy as np

from benchmarks.contestants.eval_task import NAMES, Task, make_task
from benchmarks.environments import SASREC_PEERS, python_with
from benchmarks.race import Row, interleaved, write_race
from benchmarks.sequences_text import read_sequences_text
from benchmarks.shaped import beauty

_OURS = ("footfall", "footfall_whole")
_PEERS = {"rectools_sequences": "rectools", "rectools": "rectools", "recbole": "recbole"}
"""Contestant -> environment. RecTools comes twice: as its sequence models rank, and as its vector models do."""
_TARGET = 0.2
_EQUAL = 1e-9


@dataclass
class Contestant:
    """One who races: its Python, and what it said in each run."""

    name: str
    python: Path
    said: list[dict[str, Any]] = field(default_factory=list)

    def run(self, root: Path, task: Path) -> float:
        """Seconds of one evaluation, in a process whose folder is gone afterwards.

        Raises:
            RuntimeError: it failed.
        """
        folder = Path(tempfile.mkdtemp(prefix="race-", dir=task.parent))
        command = [str(self.python), "-W", "ignore", str(root / "benchmarks" / "contestants" / "eval_clock.py"), self.name, str(task), str(folder)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"THP_MEM_ALLOC_ENABLE": "1"}
        if self.name in _OURS:
            environment["PYTHONPATH"] = str(root / "src")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        finally:
            shutil.rmtree(folder)
        if done.returncode:
            raise RuntimeError(f"{self.name} failed: {done.stderr.strip()[-2000:]}")
        self.said.append(json.loads(done.stdout.splitlines()[-1]))
        return float(self.said[-1]["seconds"])

    @property
    def seconds(self) -> float:
        """Median of its runs."""
        return float(median(one["seconds"] for one in self.said))

    def notes(self) -> dict[str, Any]:
        """What a reader needs to trust the time."""
        return {
            "seconds": [round(one["seconds"], 3) for one in self.said],
            "cpu_seconds": [round(one["cpu_seconds"], 3) for one in self.said],
            "peak_mib": round(max(one["peak_mib"] for one in self.said)),
        }


def run(root: Path, full: bool) -> Path:
    """Race three rounds (`full`: five)."""
    scratch = root / ".footfall" / "bench" / "eval"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        source, named = beauty(scratch)
        task = task_of(source)
        task.write(scratch / "task.npz")
        contestants, missing = _contestants(root)
        rounds: dict[str, Callable[[], float]] = {one.name: lambda one=one: one.run(root, scratch / "task.npz") for one in contestants}  # type: ignore[misc]
        interleaved(rounds, 5 if full else 3)
        what = f"full-rank evaluation, masked, {len(task.users):,} users x {len(task.items):,} items of {named}"
        rows = race_rows(what, contestants, missing)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return write_race(root, "eval", rows, ["footfall", "numpy"])


def task_of(source: Path) -> Task:
    """Leave-one-out of a file: the last item of each user is the target. Users with less than three items are left out, items are counted through."""
    sequences = read_sequences_text(source)
    sequences = sequences.take(np.flatnonzero(sequences.lengths >= 3))
    known, columns = np.unique(sequences.item_index, return_inverse=True)
    items = (columns + 1).astype(np.int32)
    last = sequences.offsets[1:] - 1
    history = np.delete(items, last)
    return make_task(history, sequences.offsets - np.arange(len(sequences) + 1), items[last], len(known))


def _contestants(root: Path) -> tuple[list[Contestant], list[str]]:
    """Everybody who can race, ours first, and the names of those who cannot."""
    found, missing = [Contestant(name, Path(sys.executable)) for name in _OURS], []
    pythons = {name: python_with(root, name, *steps) for name, steps in SASREC_PEERS.items()}
    for name, environment in _PEERS.items():
        python = pythons[environment]
        if python is None:
            missing.append(name)
        else:
            found.append(Contestant(name, python))
    return found, missing


def race_rows(what: str, contestants: list[Contestant], missing: list[str]) -> list[Row]:
    """Ours with and without the short cut, then a row a peer.

    Raises:
        RuntimeError: somebody found other figures than ours.
    """
    ours, whole, *peers = contestants
    figures = ours.said[-1]["found"]
    for one in contestants:
        if apart := [name for said in one.said for name in NAMES if not abs(said["found"][name] - figures[name]) <= _EQUAL]:
            raise RuntimeError(f"{one.name} and ours are apart in {apart[0]}: {one.said[-1]['found']} against {figures}")
    alone = Row(what, "s", ours.seconds, notes=ours.notes() | {"found": figures, "missing_peers": missing})
    return [alone, Row(f"{what}: ours, every rank", "s", whole.seconds, notes=whole.notes())] + [
        Row(what, "s", ours.seconds, peer.seconds, peer.said[-1]["version"], _TARGET, at_least=False, notes=peer.notes()) for peer in peers
    ]
