"""The histories of data/sequences: the arrays of events, and whose they are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from footfall.arrays import REMAKE
from footfall.arrays.vocabularies import QUERIES_FILE
from footfall.contracts import C
from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.tables import read_parquet, replacing, write_parquet

ARRAYS = {"item_index": np.int32, "event_type": np.int8, "occurred_at": np.int64, "offsets": np.int64}
SIGNALS = {"query_index": np.int32, "duration": np.int8}
"""Arrays that only some shops have."""


def write_sequences(folder: Path, sequences: Sequences) -> None:
    """Write the four arrays, and those of `SIGNALS` that there are."""
    present = {name: kind for name, kind in SIGNALS.items() if getattr(sequences, name) is not None}
    for name, kind in (ARRAYS | present).items():
        with replacing(folder / f"{name}.npy") as file:
            np.save(file, np.ascontiguousarray(getattr(sequences, name), dtype=kind), allow_pickle=False)


def write_rows(folder: Path, batches: Iterable[pa.RecordBatch], signals: Iterable[str] = ()) -> pa.Array:
    """Write the arrays, with those of `signals`, from sorted rows as they come; returns the user ids in the order of their positions.

    The bytes are those of `write_sequences`. In memory are one batch, and of each user an id and a number.
    """
    kinds = {name: np.dtype(kind) for name, kind in (ARRAYS | {name: SIGNALS[name] for name in signals}).items() if name != "offsets"}
    runs = _Runs()
    with contextlib.ExitStack() as files:
        columns = {name: files.enter_context(_appending(folder / f"{name}.npy", kind)) for name, kind in kinds.items()}
        offsets = files.enter_context(replacing(folder / "offsets.npy"))
        for batch in batches:
            runs.add(batch.column(C.USER_ID))
            for name, append in columns.items():
                append(batch.column(name).to_numpy())
        np.save(offsets, runs.offsets(), allow_pickle=False)
    return runs.users()


@contextlib.contextmanager
def _appending(path: Path, kind: np.dtype[np.generic]) -> Iterator[Callable[[npt.NDArray[np.generic]], None]]:
    """A .npy file that grows by what is appended: its header, which says the length, is written again at the end and keeps its size."""
    length = 0

    def append(values: npt.NDArray[np.generic]) -> None:
        nonlocal length
        file.write(np.ascontiguousarray(values, dtype=kind).data)
        length += len(values)

    def write_header() -> None:
        np.lib.format.write_array_header_1_0(file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (length,)})

    with replacing(path) as file:
        write_header()
        yield append
        file.seek(0)
        write_header()


class _Runs:
    """Who owns how many of the rows that went by, user after user."""

    def __init__(self) -> None:
        self._users: list[pa.Array] = []
        self._lengths: list[npt.NDArray[np.int64]] = []

    def add(self, owners: pa.Array) -> None:
        """The owners of the next rows; the first of them may go on from the rows before."""
        if not len(owners):
            return
        encoded = pc.run_end_encode(owners)
        users, lengths = encoded.values, np.diff(encoded.run_ends.to_numpy(), prepend=0).astype(np.int64)
        if self._users and self._users[-1][-1] == users[0]:
            self._lengths[-1][-1] += lengths[0]
            users, lengths = users[1:], lengths[1:]
        if len(users):
            self._users.append(users)
            self._lengths.append(lengths)

    def users(self) -> pa.Array:
        """Each user once."""
        return pa.concat_arrays(self._users) if self._users else pa.array([], pa.string())

    def offsets(self) -> npt.NDArray[np.int64]:
        """(U + 1,) where each user's rows begin, and the end."""
        return np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, np.int64), *self._lengths]))]).astype(np.int64)


def read_sequences(folder: Path) -> Sequences:
    """The histories of all users, mapped from the files: only what is looked at is read, and nothing can be written.

    Raises:
        SourceError: an array is missing, damaged, of another type, or does not fit the others.
    """
    kinds = ARRAYS | {name: kind for name, kind in SIGNALS.items() if (folder / f"{name}.npy").exists()}
    if "query_index" not in kinds and (folder / QUERIES_FILE).exists():
        raise SourceError("array is missing", where=folder / "query_index.npy", expected=f"one beside {QUERIES_FILE}", next_step=REMAKE)
    arrays: dict[str, Any] = {name: _read_array(folder / f"{name}.npy", np.dtype(kind)) for name, kind in kinds.items()}
    try:
        return Sequences(**arrays)
    except (ValueError, IndexError) as error:
        raise SourceError("sequence arrays do not fit each other", where=folder, found=str(error), next_step=REMAKE) from error


def _read_array(path: Path, kind: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    try:
        array: npt.NDArray[np.generic] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise SourceError("array cannot be read", where=path, expected="a whole .npy file", found=type(error).__name__, next_step=REMAKE) from error
    if array.dtype != kind or array.ndim != 1:
        raise SourceError(
            "array has another form",
            where=path,
            expected=f"one-dimensional {kind}",
            found=f"{array.ndim}-dimensional {array.dtype}",
            next_step=REMAKE,
        )
    return array


def write_users(folder: Path, user_ids: pa.Array) -> None:
    """Write users.parquet: user position p is row p."""
    write_parquet(folder / "users.parquet", pa.table({C.USER_ID: user_ids.cast(pa.string())}))


def read_users(folder: Path) -> list[str]:
    """User ids (pseudonyms) in the order of their positions."""
    ids: list[str] = read_parquet(folder / "users.parquet", next_step=REMAKE).column(C.USER_ID).to_pylist()
    return ids


def write_analysed(folder: Path, analysed: npt.NDArray[np.bool_]) -> None:
    """Write analysed.npy: (U,) which users do not refuse to be analysed; no figure may count the others."""
    with replacing(folder / "analysed.npy") as file:
        np.save(file, analysed, allow_pickle=False)


def read_analysed(folder: Path) -> npt.NDArray[np.int64]:
    """Positions of the users that figures may count, ascending.

    Raises:
        SourceError: no readable array.
    """
    return np.flatnonzero(_read_array(folder / "analysed.npy", np.dtype(np.bool_)))
