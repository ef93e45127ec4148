"""Ours without the short cut: every target's rank among all items is counted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contestants import eval_footfall
from benchmarks.contestants.eval_task import Evaluation, Task

VERSION = f"{eval_footfall.VERSION}, every rank"


def prepare(task: Task, folder: Path) -> Evaluation:
    """As the other, to no cut-off."""
    return eval_footfall.prepare(task, folder, within=None)
