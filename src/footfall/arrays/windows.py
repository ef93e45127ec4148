"""The windows of data/sequences: the moments that part the events, and what users bought first in each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from footfall.arrays import REMAKE
from footfall.contracts import C
from footfall.errors import SourceError
from footfall.tables import read_parquet, write_parquet, write_text

USER = "user"
"""Column of the targets tables: a user's position in `Sequences`."""
WINDOWS = ("validation", "test")


@dataclass(frozen=True)
class Split:
    """Moments that part the events, in microseconds: train | train_end | validation | test_start | test | as_of."""

    train_end: int
    test_start: int
    as_of: int

    def start(self, window: str) -> int:
        """First moment of "validation" or "test": histories for its labels end before it."""
        return {"validation": self.train_end, "test": self.test_start}[window]


@dataclass(frozen=True)
class Targets:
    """What T users bought in their first basket of one window.

    Attributes:
        users: (T,) int64 positions in `Sequences`, ascending.
        item_index: (N,) int32, user after user; 0 for an item outside the vocabulary, which still counts as a target.
        offsets: (T + 1,) int64; user t owns item_index[offsets[t]:offsets[t + 1]].
    """

    users: npt.NDArray[np.int64]
    item_index: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """T, the number of users with a basket in the window."""
        return len(self.users)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(T,) distinct items a user, inside the vocabulary or not."""
        return np.diff(self.offsets)


def write_split(folder: Path, split: Split) -> None:
    """Write split.json."""
    moments = {name: {"iso": _iso(getattr(split, name)), "us": getattr(split, name)} for name in ("train_end", "test_start", "as_of")}
    write_text(folder / "split.json", json.dumps(moments, indent=1, sort_keys=True) + "\n")


def read_split(folder: Path) -> Split:
    """The moments that part the events.

    Raises:
        SourceError: no readable split.json.
    """
    path = folder / "split.json"
    try:
        moments = json.loads(path.read_text(encoding="utf-8"))
        return Split(**{name: int(moments[name]["us"]) for name in ("train_end", "test_start", "as_of")})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError("split cannot be read", where=path, found=type(error).__name__, next_step=REMAKE) from error


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat()


def write_targets(folder: Path, window: str, table: pa.Table) -> None:
    """Write targets_<window>.parquet: columns user, item_id, item_index, sorted by user and item_id."""
    write_parquet(folder / f"targets_{window}.parquet", table)


def read_targets(folder: Path, window: str) -> Targets:
    """Targets of "validation" or "test".

    Raises:
        SourceError: no readable file.
    """
    table = read_parquet(folder / f"targets_{window}.parquet", (USER, C.ITEM_INDEX), next_step=REMAKE)
    users, counts = np.unique(table.column(USER).to_numpy(), return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Targets(users.astype(np.int64), table.column(C.ITEM_INDEX).to_numpy().astype(np.int32), offsets)
