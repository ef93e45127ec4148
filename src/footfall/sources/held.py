"""Batches that the gate holds whole: found, let in by a person, or rejected for good.

data/quarantine/held/<contract>/<batch_id>/    the batch and its receipt, written by `landing`
data/quarantine/released.jsonl                 who let which batch in, when and why; written before the batch moves
data/quarantine/dropped.jsonl                  what was rejected, and the digest by which it is known should it come again
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from footfall.contracts import CONTRACTS
from footfall.errors import SourceError
from footfall.paths import Paths
from footfall.sources import landing
from footfall.sources.landing import KNOWN_BY_ID, RECEIPT, ROWS, Batch
from footfall.sources.quarantine import DROPPED, note_line
from footfall.tables import read_parquet


def find(paths: Paths, batch_id: str) -> Path | None:
    """The folder of a held batch, named below its contract; None when no such batch is held.

    A batch that was accepted since counts as held until its folder is gone: a kill between the two is mended by doing it again.
    """
    landing.check_id(batch_id)
    folders = sorted((paths.quarantine / "held").glob(f"*/{batch_id}/{RECEIPT}"))
    return folders[0].parent if folders else None


def require(paths: Paths, batch_id: str) -> Path:
    """The folder of a held batch.

    Raises:
        SourceError: no such batch is held.
    """
    folder = find(paths, batch_id)
    if folder is None:
        raise SourceError("no batch of this name is held", where=paths.quarantine / "held", found=batch_id, next_step="footfall quarantine list")
    return folder


def read(folder: Path) -> pa.Table:
    """The rows of a held batch, in its contract's shape."""
    landing.check_batch(folder)
    return CONTRACTS[folder.parent.name].check(read_parquet(folder / ROWS, next_step="land the batch again"), where=folder)


def note_release(paths: Paths, contract: str, batch_id: str, *, by: str, note: str, at: datetime) -> dict[str, str]:
    """Write down who lets a batch in, when and why; the first word stands, so that doing it again after a kill changes nothing."""
    notes = paths.quarantine / "released.jsonl"
    for line in _lines(notes):
        if (line["contract"], line["batch_id"]) == (contract, batch_id):
            return {"by": line["by"], "at": line["at"], "note": line["note"]}
    released = {"by": by, "at": at.isoformat(), "note": note}
    note_line(notes, {"contract": contract, "batch_id": batch_id, **released})
    return released


def reject(paths: Paths, folder: Path, *, by: str, note: str | None, at: datetime) -> dict[str, Any]:
    """Give a held batch up for good, and keep a note of it by which the same rows are known should they come again."""
    receipt = landing.read_receipt(folder)
    failed = [str(check["rule"]) for check in receipt.checks if not check["ok"]]
    digest = landing.landed_digest(folder / ROWS)
    line: dict[str, Any] = {"at": at.isoformat(), "by": by, "note": note, "contract": receipt.contract, "batch_id": receipt.subject}
    line |= {"held": True, "rows": receipt.rows, "failed": failed, "digest": digest}
    if not was_rejected(paths, receipt.contract, receipt.subject, digest):
        note_line(paths.quarantine / DROPPED, line)
    shutil.rmtree(folder)
    return line


def was_rejected(paths: Paths, contract: str, batch_id: str, digest: str) -> bool:
    """Whether these very rows were rejected before; where some were erased since, whether a batch of this id was."""
    for line in _lines(paths.quarantine / DROPPED):
        if line.get("held") and line["contract"] == contract and line["digest"] == digest and (digest != KNOWN_BY_ID or line["batch_id"] == batch_id):
            return True
    return False


def lift_empty(paths: Paths, batch: Batch) -> None:
    """Take the holds away that said "nothing has come" of this source: something has."""
    source = batch.batch_id.split("-", 1)[0]
    for receipt in landing.list_held(paths):
        if receipt.contract == batch.contract and receipt.rows == 0 and receipt.subject.startswith(f"{source}-"):
            shutil.rmtree(paths.quarantine / "held" / receipt.contract / receipt.subject)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
