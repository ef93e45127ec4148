"""What one race says: rows of ratios within one run, on the same work, written to reports/bench/NAME.json."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from footfall.tables import write_text


@dataclass(frozen=True)
class Row:
    """One measured thing.

    Attributes:
        what: the work, in words, with its size.
        unit: of `ours` and `peer`.
        ours, peer: medians; `peer` is None where only a limit or the floor is asked for.
        peer_name: library and version, or "limit".
        target: what the ratio (without a peer: `ours`) must reach; None when nothing is promised.
        at_least: whether more is better.
        notes: spreads, loads, memory: what a reader needs to trust the figure.
    """

    what: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    target: float | None = None
    at_least: bool = True
    notes: dict[str, Any] | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return None if self.peer is None else self.ours / self.peer

    @property
    def holds(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        value = self.ours if self.ratio is None else self.ratio
        return value >= self.target if self.at_least else value <= self.target

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, with ratio and holds."""
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def machine() -> dict[str, Any]:
    """What a reader must know of this machine: no name, no address."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "arch": platform.machine(),
        "load": os.getloadavg()[0],
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Python's version and those of the packages that took part."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def write_race(root: Path, name: str, rows: list[Row], packages: Iterable[str]) -> Path:
    """Write reports/bench/<name>.json below `root`, print the rows, and return the file."""
    path = root / "reports" / "bench" / f"{name}.json"
    document: dict[str, Any] = {"name": name, "versions": versions(packages), "machine": machine(), "rows": [row.as_dict() for row in rows]}
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    say(rows, document["versions"])
    return path


def say(rows: Iterable[Row], measured_with: Mapping[str, str]) -> None:
    """Print a line a row, and with what it was measured."""
    sys.stdout.write("with " + ", ".join(f"{name} {number}" for name, number in measured_with.items()) + "\n")
    sys.stdout.writelines(f"{line(row)}\n" for row in rows)


def line(row: Row) -> str:
    """A row for a terminal."""
    peer = "" if row.peer is None else f"  {row.peer_name} {row.peer:,.6g}  ratio {row.ratio:.3f}"
    target = "" if row.target is None else f"  target {'>=' if row.at_least else '<='} {row.target:g}: {'holds' if row.holds else 'MISSED'}"
    return f"{row.what}: {row.ours:,.6g} {row.unit}{peer}{target}"


def interleaved(contestants: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Run every contestant in turn, `repeats` rounds, so that a slow phase of the machine hits all of them. Each returns its own figure."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            figures[name].append(contestant())
    return figures
