"""Sequences in the S3-Rec text form: a user a line, the user's number first, then the items from the oldest to the newest."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.model.trainer import TARGET_TYPE

STEP_US = 86_400_000_000
"""The form has no times: an event a day stands for the order."""


def read_sequences_text(path: Path) -> Sequences:
    """Users in the order of the file, every event a purchase; items keep their numbers, which begin at 1.

    Raises:
        SourceError: the file cannot be read, or a line holds something else than numbers.
    """
    try:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError("sequences cannot be read", where=path, expected="text, or text in gzip", found=type(error).__name__) from error
    users = [_items(line, f"{path}, line {number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lengths = np.array([len(items) for items in users], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    item_index = np.concatenate(users) if users else np.empty(0, np.int32)
    steps = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return Sequences(item_index, np.full(len(item_index), TARGET_TYPE, np.int8), steps * STEP_US, offsets)


def _items(line: str, where: str) -> np.ndarray:
    _, *words = line.split()
    try:
        items = np.array([int(word) for word in words], np.int32)
    except (ValueError, OverflowError) as error:
        raise SourceError("no number", where=where, expected="a user and items, all whole numbers", found=line[:40]) from error
    if len(items) and items.min() < 1:
        raise SourceError("no item", where=where, expected="numbers from 1", found=int(items.min()))
    return items
