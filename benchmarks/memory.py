"""Memory of the loss and its gradients at 100,000 items and 6,400 tokens: ours, chunk by chunk, against torch's cross-entropy on full logits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contestants.loss_memory import LENGTH
from benchmarks.race import Row, interleaved, write_race

ITEMS, DIM, USERS = 100_000, 64, 128
_TARGET, _LOSS, _GRADIENT = 0.15, 1e-5, 1e-4


def run(root: Path, full: bool) -> Path:
    """Both in processes of their own, in turns; twice each, with `full` five times."""
    folder = root / ".footfall" / "bench" / "memory"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    said: dict[str, list[dict[str, Any]]] = {"footfall": [], "torch": []}

    def once(name: str) -> float:
        said[name].append(_process(root, name, folder / f"{name}.npz"))
        return float(said[name][-1]["peak_mib"] - said[name][-1]["before_mib"])

    try:
        took = interleaved({name: lambda name=name: once(name) for name in said}, 5 if full else 2)  # type: ignore[misc]
        with np.load(folder / "footfall.npz") as ours, np.load(folder / "torch.npz") as theirs:
            apart = {name: difference(ours[name], theirs[name]) for name in theirs.files}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return write_race(root, "memory", rows(said, took, apart), ["footfall", "torch", "numpy"])


def rows(said: dict[str, list[dict[str, Any]]], took: dict[str, list[float]], apart: dict[str, float]) -> list[Row]:
    """The largest of each side's peaks, and how equal the two are.

    Args:
        said: what each process said.
        took: MiB of each process beyond what stood there before.
        apart: of each gradient.
    """
    what = f"loss and gradients at {ITEMS:,} items, {USERS * LENGTH:,} tokens, width {DIM}"
    named = said["torch"][-1]["version"] + " cross_entropy"
    notes = {name: {"mib": [round(one, 1) for one in took[name]], "last": said[name][-1]} for name in said}
    ours, theirs = (said[name][-1]["loss"] for name in ("footfall", "torch"))
    return [
        Row(f"{what}: peak memory", "MiB", max(took["footfall"]), max(took["torch"]), named, _TARGET, at_least=False, notes=notes),
        Row(f"{what}: loss apart", "relative", abs(ours / theirs - 1.0), target=_LOSS, at_least=False, notes={"footfall": ours, "torch": theirs}),
        Row(f"{what}: gradients apart", "relative", max(apart.values()), target=_GRADIENT, at_least=False, notes=apart),
    ]


def difference(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    """The larger of two: length of the difference over length, and largest difference over largest value."""
    off = ours.astype(np.float64) - theirs
    return max(float(np.linalg.norm(off) / np.linalg.norm(theirs)), float(np.abs(off).max() / np.abs(theirs).max()))


def _process(root: Path, name: str, out: Path) -> dict[str, Any]:
    command = [sys.executable, str(root / "benchmarks" / "contestants" / "loss_memory.py"), name, str(ITEMS), str(DIM), str(USERS), str(out)]
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "THP_MEM_ALLOC_ENABLE": "1", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
