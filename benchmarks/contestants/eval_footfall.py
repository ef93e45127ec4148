"""Ours: products in chunks, a count of what stands before the target, and no count where a part of the items is enough."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.contestants.eval_task import CUTOFFS, Evaluation, Task
from footfall.core.metrics import at_cutoffs, mean_figures
from footfall.core.sequences import Sequences
from footfall.core.vector_ranks import ranks_by_vectors

VERSION = f"footfall {version('footfall')}, numpy {np.__version__}"


def prepare(task: Task, _folder: Path, within: int | None = max(CUTOFFS)) -> Evaluation:
    """Histories as the library holds them."""
    events = len(task.history)
    history = Sequences(task.history, np.zeros(events, np.int8), np.zeros(events, np.int64), task.offsets)

    def evaluate() -> dict[str, float]:
        found = ranks_by_vectors(task.users, task.items, task.targets, history, within=within)
        return mean_figures(at_cutoffs(found, CUTOFFS))

    return evaluate
