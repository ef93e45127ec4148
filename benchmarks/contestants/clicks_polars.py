"""Polars, written by hand: sort, difference, dense rank, one list of codes a user."""

from __future__ import annotations

import polars as pl

from benchmarks.contestants.task import CUT_US, GAP_US

VERSION = f"polars {pl.__version__}"


def run(clicks: str, _folder: str) -> dict[str, int]:
    """Sessions, time split and lists; nothing is written."""
    user, moment = pl.col("user_id"), pl.col("occurred_at")
    events = pl.read_parquet(clicks, columns=["user_id", "item_id", "occurred_at"]).sort("user_id", "occurred_at", maintain_order=True)
    events = events.with_columns(
        session=((user.diff().fill_null(1) != 0) | (moment.diff().fill_null(0) > GAP_US)).cum_sum(),
        item=pl.col("item_id").rank("dense"),
        train=moment < CUT_US,
    )
    sequences = events.group_by("user_id", maintain_order=True).agg("item")
    return {
        "events": len(events),
        "users": len(sequences),
        "items": int(events["item"].max()),
        "sessions": int(events["session"][-1]),
        "train": int(events["train"].sum()),
    }
