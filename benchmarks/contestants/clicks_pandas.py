"""A plain pandas script: sort, difference, factorise, one list of codes a user."""

from __future__ import annotations

import pandas as pd

from benchmarks.contestants.task import CUT_US, GAP_US

VERSION = f"pandas {pd.__version__}"


def run(clicks: str, _folder: str) -> dict[str, int]:
    """Sessions, time split and lists; nothing is written."""
    events = pd.read_parquet(clicks, columns=["user_id", "item_id", "occurred_at"])
    events = events.sort_values(["user_id", "occurred_at"], kind="stable")
    starts = (events["user_id"].diff() != 0) | (events["occurred_at"].diff() > GAP_US)
    events["session"] = starts.cumsum()
    events["item"], items = pd.factorize(events["item_id"], sort=True)
    train = events["occurred_at"] < CUT_US
    sequences = events.groupby("user_id", sort=False)["item"].agg(list)
    return {
        "events": len(events),
        "users": len(sequences),
        "items": len(items),
        "sessions": int(events["session"].iloc[-1]),
        "train": int(train.sum()),
    }
