"""Up to which moment each source has been ingested whole."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from footfall.errors import SourceError
from footfall.tables import write_text


def read(path: Path, source: str) -> datetime | None:
    """The moment up to which `source` has been ingested; None when it never was.

    Raises:
        SourceError: the file is damaged.
    """
    text = _read(path).get(source)
    return None if text is None else datetime.fromisoformat(text)


def write(path: Path, source: str, until: datetime) -> None:
    """Note that `source` has been ingested up to `until`; it never moves back."""
    known = _read(path)
    before = known.get(source)
    if before is None or datetime.fromisoformat(before) < until:
        write_text(path, json.dumps(known | {source: until.isoformat()}, indent=1, sort_keys=True) + "\n")


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {str(source): datetime.fromisoformat(text).isoformat() for source, text in known.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError) as error:
        raise SourceError(
            "watermarks are damaged",
            where=path,
            found=str(error),
            next_step=f"rm {path}: sources are then read from their beginning, which is harmless",
        ) from error
