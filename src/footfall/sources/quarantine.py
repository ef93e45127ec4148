"""Rows that the gate did not want: kept by batch, each with its reason, until they are replayed or dropped.

    data/quarantine/rows/<contract>/<batch_id>.parquet    bad rows: the contract's columns and `reason`
    data/quarantine/dropped.jsonl                         what was dropped: batch, rows by reason, when

A batch that is held whole is `landing`'s.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from footfall.contracts import C
from footfall.documents import Verdict
from footfall.errors import SourceError
from footfall.paths import Paths
from footfall.sources.landing import Batch, check_id
from footfall.tables import read_parquet, write_parquet, write_text

DROPPED = "dropped.jsonl"
"""Notes of what was given up, rows and whole batches alike."""


def set_aside(paths: Paths, batch: Batch, bad: pa.Table, verdict: Verdict) -> Path | None:
    """Keep the bad rows, contract columns and `reason`, in quarantine. Do this before `accept`. Returns their file, None without rows."""
    if sum(verdict.quarantined.values()) != bad.num_rows:
        raise SourceError("verdict and bad rows disagree", where=batch.batch_id, expected=verdict.quarantined, found=bad.num_rows)
    path = paths.quarantine / "rows" / batch.contract / f"{batch.batch_id}.parquet"
    if not bad.num_rows:
        path.unlink(missing_ok=True)
        return None
    write_parquet(path, bad, sealed=True)
    return path


@dataclass(frozen=True)
class Quarantined:
    """Bad rows of one batch: how many, by reason."""

    contract: str
    batch_id: str
    reasons: dict[str, int]
    path: Path


def list_all(paths: Paths) -> list[Quarantined]:
    """All batches with rows in quarantine, in the order of contract and batch id."""
    files = sorted((paths.quarantine / "rows").glob("*/[!.]*.parquet"))
    return [Quarantined(path.parent.name, path.stem, _by_reason(path), path) for path in files]


def summary(paths: Paths) -> dict[str, int]:
    """Rows in quarantine by reason, over all batches."""
    total: Counter[str] = Counter()
    for batch in list_all(paths):
        total.update(batch.reasons)
    return dict(sorted(total.items()))


def read(paths: Paths, batch_id: str) -> pa.Table:
    """The bad rows of one batch (contract columns and `reason`).

    Raises:
        SourceError: nothing of that batch is in quarantine.
    """
    return read_parquet(find(paths, batch_id))


def find(paths: Paths, batch_id: str) -> Path:
    """The file with the bad rows of one batch; its folder is named after the contract.

    Raises:
        SourceError: nothing of that batch is in quarantine.
    """
    check_id(batch_id)
    files = sorted((paths.quarantine / "rows").glob(f"*/{batch_id}.parquet"))
    if not files:
        raise SourceError("no rows of this batch are in quarantine", where=paths.quarantine, found=batch_id, next_step="footfall quarantine list")
    return files[0]


def keep_only(paths: Paths, batch_id: str, bad: pa.Table) -> None:
    """Replace the bad rows of one batch by these; without any the batch leaves the quarantine."""
    path = find(paths, batch_id)
    if bad.num_rows:
        write_parquet(path, bad, sealed=True)
    else:
        path.unlink()


def drop(paths: Paths, batch_id: str, at: datetime) -> dict[str, int]:
    """Give the bad rows of one batch up for good, and keep a note of it. Returns how many, by reason."""
    path = find(paths, batch_id)
    reasons = _by_reason(path)
    note_line(paths.quarantine / DROPPED, {"at": at.isoformat(), "contract": path.parent.name, "batch_id": batch_id, "reasons": reasons})
    path.unlink()
    return reasons


def note_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line to a file of notes, whole or not at all."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, before + json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n")


def _by_reason(path: Path) -> dict[str, int]:
    return dict(sorted(Counter(read_parquet(path, (C.REASON,)).column(C.REASON).to_pylist()).items()))
