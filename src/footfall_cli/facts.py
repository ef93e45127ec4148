"""What a workspace's own records say: batches and quarantine, training, metrics, releases, reviews. Reads; never guesses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from footfall.documents import Metrics
from footfall.paths import Paths


def ingested(root: Path) -> dict[str, Any]:
    """Rows of events that were landed, rows in quarantine by reason, and held batches, from receipts and quarantine files."""
    from footfall.sources import quarantine
    from footfall.sources.landing import list_batches, list_held, read_receipt

    paths = Paths(root)
    receipts = [read_receipt(folder) for folder in list_batches(paths, "events")]
    return {
        "batches": len(receipts),
        "events_landed": sum(receipt.rows for receipt in receipts),
        "rows_quarantined": quarantine.summary(paths),
        "held": [receipt.subject for receipt in list_held(paths)],
    }


def training(root: Path) -> dict[str, Any] | None:
    """What the last training saw, as the stage wrote it down."""
    return _read_json(Paths(root).training_report)


def metrics(root: Path) -> Metrics | None:
    """The last METRICS."""
    path = Paths(root).metrics_report
    return Metrics.from_json(path.read_text(encoding="utf-8"), where=path) if path.exists() else None


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
