"""How the time and memory of a training step grow with the catalogue and with the length of histories, at equally many events a step."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.race import Row, write_race
from benchmarks.racers import Racer, all_running
from benchmarks.shaped import write_even

_TOKENS, _NEGATIVES = 8_000, 8_192
_WARM, _STEPS, _STEPS_IN_FULL = 1, 4, 20


@dataclass(frozen=True)
class Size:
    """One point: items in the catalogue, events a user, and sampled negatives (0: the exact softmax)."""

    items: int
    length: int
    negatives: int

    @property
    def what(self) -> str:
        """In words."""
        loss = f"{self.negatives:,} sampled" if self.negatives else "exact softmax"
        return f"{self.items:,} items, {_TOKENS // self.length} users of {self.length} events, {loss}"


SIZES = (
    *(Size(items, 50, negatives) for items, negatives in ((12_000, 0), (100_000, 0), (100_000, _NEGATIVES), (1_000_000, _NEGATIVES))),
    *(Size(12_000, length, 0) for length in (200, 1_000)),
)


def run(root: Path, full: bool) -> Path:
    """Width 64, two blocks, 8,000 events a step; each size in a process of its own. Nothing is promised."""
    folder = root / ".footfall" / "bench" / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    steps = _STEPS_IN_FULL if full else _STEPS
    rows = []
    try:
        for size in SIZES:
            racer = contestant(size, folder, steps)
            with all_running(root, folder, [racer]):
                racer.turn(_WARM, timed=False)
                racer.turn(steps)
            rows += [
                Row(f"{size.what}: a step", "ms", 1_000 * median(racer.seconds), notes=racer.notes() | {"load": round(os.getloadavg()[0], 2)}),
                Row(f"{size.what}: peak memory, libraries included", "MiB", racer.peak_mib),
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return write_race(root, "scale", rows, ["footfall", "torch", "numpy"])


def contestant(size: Size, folder: Path, steps: int) -> Racer:
    """Its histories written to `folder`, as long as wanted once those that are held out are off: every step reads `_TOKENS` events."""
    users = _TOKENS // size.length
    path = folder / f"{size.items}-{size.length}.txt"
    write_even(path, users, size.length + 2, size.items)
    told: dict[str, Any] = {"sequences": str(path), "items": size.items, "length": size.length, "users": users, "negatives": size.negatives}
    return Racer("footfall", "footfall", Path(sys.executable), told | {"dim": 64, "dropout": 0.2, "rate": 1e-3, "steps": _WARM + steps})
