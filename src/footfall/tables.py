"""One Parquet file: read it or say which file is damaged, write it atomically and always with the same bytes.

This module knows nothing of what the tables mean; `contracts` does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from footfall.errors import SourceError

ROW_GROUP = 131_072


def read_parquet(path: Path, columns: Sequence[str] | None = None, *, next_step: str | None = None) -> pa.Table:
    """Read one Parquet file.

    Every page is held against its checksum, so that a flipped bit is an error and not another value.

    Raises:
        SourceError: there is no such file, or its bytes are no readable Parquet.
    """
    try:
        # One file, no dataset discovery: the folder names above it must not become columns.
        return pq.ParquetFile(path, page_checksum_verification=True).read(columns=None if columns is None else list(columns))
    except FileNotFoundError as error:
        raise SourceError("table is missing", where=path, expected="a Parquet file", next_step=next_step or "dvc repro") from error
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        found = str(error).splitlines()[0]
        raise SourceError(
            "Parquet file cannot be read", where=path, expected="a whole Parquet file", found=found, next_step=next_step or "dvc checkout"
        ) from error


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write `table` to `path` by way of a temporary file; equal tables give equal bytes.

    The file is on disk (fsync) before it gets its name, so that a kill leaves the old file or the new one, never half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    # Chunk borders of the table in hand would otherwise show in the bytes.
    with temporary.open("wb") as file:
        pq.write_table(table.combine_chunks(), file, compression="zstd", row_group_size=ROW_GROUP, version="2.6", write_page_checksum=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a small text file with the same care."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
