"""Ours: the expressions and arrays of the stages, from the clicks to memory-mapped files."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import ibis
import numpy as np

from benchmarks.contestants.task import CUT_US, DAY_US, DAYS, GAP_US, START_US
from footfall.arrays.histories import read_sequences, write_rows, write_users
from footfall.contracts import PURCHASE, C
from footfall.frames.engine import open_engine
from footfall.frames.sequences import sequences, vocabulary
from footfall.tables import write_parquet

VERSION = f"footfall {version('footfall')}"
MEMORY = "2GB"
"""FOOTFALL_ENGINE_MEMORY's own default."""


def run(clicks: str, folder: str) -> dict[str, int]:
    """Everything is written below `folder`, and read again only as mapped files."""
    out = Path(folder)
    engine = open_engine(scratch=str(out / "spill"), memory=MEMORY)
    try:
        # A click has no kind; called a purchase, it counts for the vocabulary.
        events = engine.read([clicks]).mutate(**{C.EVENT_TYPE: ibis.literal(PURCHASE)})
        items = engine.run(vocabulary(events, START_US + DAYS * DAY_US, 1))
        users = write_rows(out, engine.batches(sequences(events, engine.frame(items))))
    finally:
        engine.close()
    write_users(out, users)
    write_parquet(out / "vocabulary.parquet", items)
    made = read_sequences(out)
    starts = made.session_starts(GAP_US)
    train = made.count(made.occurred_at < CUT_US)
    np.save(out / "session_start.npy", starts)
    np.save(out / "train_events.npy", train)
    return {
        "events": len(made.item_index),
        "users": len(made),
        "items": items.num_rows,
        "sessions": int(starts.sum()),
        "train": int(train.sum()),
    }
