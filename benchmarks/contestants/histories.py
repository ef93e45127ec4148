"""What every contestant of the training races learns from: all histories without their last two events. Standard library alone."""

from __future__ import annotations

import gzip
from pathlib import Path

HELD_OUT = 2
"""A user's newest events are for validation and test."""


def read_histories(path: str, held_out: int = HELD_OUT) -> list[list[int]]:
    """Each user's items in order, from a text of a user a line: its number, then its items. The newest `held_out` events are left out."""
    with gzip.open(path, "rt", encoding="utf-8") if Path(path).suffix == ".gz" else Path(path).open(encoding="utf-8") as lines:
        users = [[int(word) for word in line.split()[1:]] for line in lines]
    return [items[: max(len(items) - held_out, 0)] for items in users]
