"""One Parquet file: read it or say which file is damaged, write it atomically and always with the same bytes.

This module knows nothing of what the tables mean; `contracts` does.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from footfall.errors import DiskError, SourceError
from footfall.sealing import MAGIC, is_sealed, keys_in, seal, unseal

ROW_GROUP = 131_072
_PARQUET: dict[str, Any] = {"compression": "zstd", "row_group_size": ROW_GROUP, "version": "2.6", "write_page_checksum": True}
_FULL = (errno.ENOSPC, errno.EDQUOT)
MAKE_ROOM = "free some space (footfall doctor says how much is left), then run the same again"


def read_parquet(path: Path, columns: Sequence[str] | None = None, *, next_step: str | None = None) -> pa.Table:
    """Read one Parquet file, sealed or not.

    Every page is held against its checksum, so that a flipped bit is an error and not another value.

    Raises:
        SourceError: there is no such file, or its bytes are no readable Parquet. A `SealError`, when it is sealed by a key that is not here.
    """
    with _opening(path, next_step) as file:
        return file.read(columns=None if columns is None else list(columns))


def read_schema(path: Path, *, next_step: str | None = None) -> pa.Schema:
    """The schema of one Parquet file, sealed or not, with its metadata.

    Raises:
        SourceError: as in `read_parquet`.
    """
    with _opening(path, next_step) as file:
        return file.schema_arrow


@contextlib.contextmanager
def _opening(path: Path, next_step: str | None) -> Iterator[pq.ParquetFile]:
    try:
        source = pa.BufferReader(unseal(path.read_bytes(), keys_in(), where=path)) if is_sealed(path) else path
        # One file, no dataset discovery: the folder names above it must not become columns.
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError as error:
        raise SourceError("table is missing", where=path, expected="a Parquet file", next_step=next_step or "dvc repro") from error
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        found = str(error).splitlines()[0]
        raise SourceError(
            "Parquet file cannot be read", where=path, expected="a whole Parquet file", found=found, next_step=next_step or "dvc checkout"
        ) from error


def write_parquet(path: Path, table: pa.Table, *, sealed: bool = False) -> None:
    """Write `table` to `path` by way of a temporary file; equal tables give equal bytes.

    Args:
        path: its file.
        table: what to write.
        sealed: these are rows of people that wait or stay on disk: seal them when the environment holds a key.

    Raises:
        DiskError: the disk is full.
    """
    keys = keys_in() if sealed else ()
    with replacing(path) as file:
        buffer = io.BytesIO()
        # Chunk borders of the table in hand would otherwise show in the bytes.
        pq.write_table(table.combine_chunks(), buffer if keys else file, **_PARQUET)
        if keys:
            file.write(seal(buffer.getvalue(), keys))


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> None:
    """Write rows as they come, a row group at a time; the bytes are those of `write_parquet` on all of them together.

    Raises:
        DiskError: the disk is full.
    """
    settings = {name: value for name, value in _PARQUET.items() if name != "row_group_size"}
    with replacing(path) as file, pq.ParquetWriter(file, schema, **settings) as writer:
        held, rows, written = [schema.empty_table()], 0, 0
        for batch in batches:
            held.append(batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch]))
            rows += batch.num_rows
            if whole := rows - rows % ROW_GROUP:
                table = pa.concat_tables(held)
                writer.write_table(table.slice(0, whole).combine_chunks(), ROW_GROUP)
                held, rows, written = [table.slice(whole)], rows - whole, written + whole
        if rows or not written:
            writer.write_table(pa.concat_tables(held).combine_chunks(), ROW_GROUP)


def read_text(path: Path) -> str:
    """A small text file, sealed or not.

    Raises:
        FileNotFoundError: there is none.
        SealError: it is sealed by a key that is not here, or damaged.
    """
    data = path.read_bytes()
    return (unseal(data, keys_in(), where=path) if data.startswith(MAGIC) else data).decode()


def write_text(path: Path, text: str, *, sealed: bool = False) -> None:
    """Write a small text file with the same care; `sealed` as for `write_parquet`."""
    keys, data = keys_in() if sealed else (), text.encode()
    with replacing(path) as file:
        file.write(seal(data, keys) if keys else data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` at the end of the `with` block.

    It is on disk (fsync) before it gets its name, so that a kill leaves the old file or the new one, never half. A failure leaves nothing.

    Raises:
        DiskError: the disk is full.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with plain_when_full(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the name `folder` at the end of the `with` block, whole; a failure leaves what stood there.

    Raises:
        DiskError: the disk is full.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with plain_when_full(folder):
        try:
            partial.mkdir(parents=True)
            yield partial
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        sync_folder(folder.parent)


@contextlib.contextmanager
def plain_when_full(where: Path) -> Iterator[None]:
    """Say in plain words what a write to a full disk raises; engines that spill beside it wrap the system's words in errors of their own."""
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) not in _FULL and not any(os.strerror(number) in str(error) for number in _FULL):
            raise
        raise DiskError("the disk is full", where=where, expected="room for this file", found=type(error).__name__, next_step=MAKE_ROOM) from error


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
