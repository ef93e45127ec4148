"""Contestants of the races over training: each a process of its own that waits for its turn; see `contestants.turns`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

THREADS = 2
WARM, ROUNDS, EACH = 3, 4, 5
"""Steps before the clock counts; turns; steps a turn."""
STEPS = WARM + ROUNDS * EACH


@dataclass
class Racer:
    """One who trains.

    Attributes:
        name: who it is in this race.
        contestant: `contestants.steps_<contestant>`.
        python: of its environment.
        settings: what it is told, beside what all are told.
        facts: what it said before its first step and after its last.
        seconds, targets, tokens: of each timed step.
        cpu_seconds, peak_mib: over the timed turns; processor time of all threads, and the largest resident size since the process began.
    """

    name: str
    contestant: str
    python: Path
    settings: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    cpu_seconds: float = 0.0
    peak_mib: float = 0.0

    @contextmanager
    def running(self, root: Path, folder: Path) -> Iterator[None]:
        """Its process, ready for turns; at the end, whatever happens, it is gone."""
        home = folder / self.name.replace(" ", "-")
        home.mkdir(parents=True, exist_ok=True)
        settings = {"params": str(root / "params.yaml"), "threads": THREADS, "seed": 7, "steps": STEPS} | self.settings
        command = [str(self.python), str(root / "benchmarks" / "contestants" / "turns.py"), self.contestant, json.dumps(settings)]
        with (
            (home / "said.txt").open("w", encoding="utf-8") as said,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, cwd=home, env=self._environment(root)
            ) as self._process,
        ):
            try:
                self._said = home / "said.txt"
                self.facts = self._hear()
                yield
            finally:
                self._process.kill()

    def turn(self, steps: int = EACH, *, timed: bool = True) -> float:
        """Train some steps; returns the median seconds of one."""
        self._tell(f"{steps}\n")
        heard = self._hear()
        seconds, targets, tokens = (list(column) for column in zip(*heard["steps"], strict=True))
        if timed:
            self.seconds += seconds
            self.targets += targets
            self.tokens += tokens
            self.cpu_seconds += heard["cpu_seconds"]
            self.peak_mib = heard["peak_mib"]
        return float(median(seconds))

    def finish(self) -> None:
        """No turn will follow: hear the last facts."""
        self._tell("0\n")
        self.facts |= self._hear()

    def notes(self) -> dict[str, Any]:
        """What a reader needs to trust the times."""
        milliseconds = [1_000 * one for one in self.seconds]
        return {
            "steps": len(self.seconds),
            "step_ms": [round(one, 1) for one in (median(milliseconds), min(milliseconds), max(milliseconds))],
            "targets_a_step": round(sum(self.targets) / len(self.targets)),
            "processors": round(self.cpu_seconds / sum(self.seconds), 2),
            "peak_mib": round(self.peak_mib),
            **self.facts,
        }

    def _environment(self, root: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        ours = {"PYTHONPATH": str(root / "src")} if self.python == Path(sys.executable) else {}
        threads = str(self.settings.get("threads", THREADS))
        return kept | ours | {"THP_MEM_ALLOC_ENABLE": "1", "OMP_NUM_THREADS": threads, "PYTHONDONTWRITEBYTECODE": "1"}

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError(f"{self.name} cannot be told anything")
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} failed: {self._said.read_text(encoding='utf-8').strip()[-2000:]}")
        heard: dict[str, Any] = json.loads(line)
        return heard


@contextmanager
def all_running(root: Path, folder: Path, racers: Sequence[Racer]) -> Iterator[None]:
    """Every racer's process, one after the other made ready."""
    if not racers:
        yield
        return
    with racers[0].running(root, folder), all_running(root, folder, racers[1:]):
        yield


def take_turns(root: Path, folder: Path, racers: Sequence[Racer]) -> None:
    """Warm everybody up, then `ROUNDS` rounds of `EACH` steps, so that a slow phase of the machine hits all of them."""
    with all_running(root, folder, racers):
        for racer in racers:
            racer.turn(WARM, timed=False)
        for _ in range(ROUNDS):
            for racer in racers:
                racer.turn()
        for racer in racers:
            racer.finish()


def say_if_busy() -> None:
    """Before a race: two threads wait for each other at every barrier, so a neighbour costs far more than its share."""
    load = os.getloadavg()[0]
    if load > 1:
        sys.stderr.write(f"load {load:.1f}: this machine is busy, and these figures will mean little\n")
