"""Backup: the whole store as one file that any of the three databases gives and takes, equal row for row.

    <table>/000000.parquet ...    at most 20,000 rows each, in the order of the primary key
    manifest.json                 last: schema revision, rows, and the sha256 of every part

An uncompressed tar, sealed when there is a key. Both directions stream: memory holds one part. A backup is what one moment saw, because it is
read in one transaction; a restore is one transaction too, and reads the whole file before it begins.
What was erased since a backup does not come back with it: the store's own record of erasures outlives a restore.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.errors import StoreError
from footfall.sealing import Keys, SealedSink
from footfall.store.backup_file import MANIFEST, Backup, add, check, damaged_backup, members
from footfall.store.engine import snapshot, sqlite_path, where, writing
from footfall.store.erasures import apply_erasures
from footfall.store.rows import insert_new, to_rows
from footfall.store.sqlite_file import verify
from footfall.store.tables import SCHEMA_REVISION, erasures, metadata
from footfall.tables import replacing

PART = 20_000
Report = Callable[[str, int], None]
"""Told the table and how many more of its rows are done."""


def save(engine: Engine, path: Path, keys: Keys, at: datetime, *, report: Report | None = None) -> Backup:
    """Write the whole store to `path`; the file appears whole or not at all, and only its owner may read it.

    Args:
        engine: the store. Others may go on using it.
        path: the file; an earlier one of that name is replaced.
        keys: the first seals; none: the file is not sealed.
        at: now, for the manifest.
        report: told how far it is.

    Raises:
        StoreDamageError: the store's own file is damaged; nothing is written.
        StoreError: the store cannot be reached.
    """
    if (file := sqlite_path(str(engine.url))) is not None:
        verify(file)
    with replacing(path) as raw, snapshot(engine) as connection:
        os.fchmod(raw.fileno(), 0o600)
        if not keys:
            return _write(connection, raw, at, report)
        with SealedSink(raw, keys) as sink:
            return _write(connection, sink, at, report)


def restore(engine: Engine, path: Path, keys: Keys, *, replace: bool = False, report: Report | None = None) -> dict[str, int]:
    """Put a backup into the store, all of it or nothing.

    Args:
        engine: the store, which nobody else writes to meanwhile.
        path: the backup.
        keys: what may open it.
        replace: give up what the store holds; else it must be empty.
        report: told how far it is.

    Returns:
        Rows of people who were erased since the backup was taken, by table: they have left again.

    Raises:
        StoreError: the store is not empty, somebody wrote meanwhile, or what `check` raises.
    """
    manifest = check(path, keys)
    with writing(engine, bulk=True) as connection:
        _make_room(connection, engine, replace=replace)
        for name, data in members(path, keys):
            if name == MANIFEST:
                break
            if hashlib.sha256(data).hexdigest() != manifest.parts.get(name):
                raise damaged_backup(path, "another file than a moment ago")
            table = name.split("/", 1)[0]
            rows = _insert(connection, metadata.tables[table], pq.ParquetFile(io.BytesIO(data)).read())
            if report:
                report(table, rows)
        _count(connection, manifest, engine)
        _go_on_counting(connection)
    return apply_erasures(engine)


def _write(connection: Connection, sink: Any, at: datetime, report: Report | None) -> Backup:
    tables: dict[str, int] = {}
    parts: dict[str, str] = {}
    with tarfile.open(fileobj=sink, mode="w|") as archive:
        for table in metadata.sorted_tables:
            tables[table.name] = 0
            for number, rows in enumerate(_read(connection, table)):
                name, buffer = f"{table.name}/{number:06d}.parquet", io.BytesIO()
                pq.write_table(_to_arrow(table, rows), buffer, compression="zstd")
                parts[name] = add(archive, name, buffer.getvalue())
                tables[table.name] += len(rows)
                if report:
                    report(table.name, len(rows))
        manifest = Backup(SCHEMA_REVISION, at.isoformat(), tables, parts)
        add(archive, MANIFEST, manifest.to_json().encode())
    return manifest


def _read(connection: Connection, table: sa.Table) -> Iterator[Sequence[sa.Row[Any]]]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    with connection.execute(query, execution_options={"yield_per": PART}) as result:
        yield from result.partitions()


def _to_arrow(table: sa.Table, rows: Sequence[sa.Row[Any]]) -> pa.Table:
    values = zip(*rows, strict=True)
    return pa.table({column.name: pa.array(one, _arrow_type(column)) for column, one in zip(table.columns, values, strict=True)})


def _arrow_type(column: sa.Column[Any]) -> pa.DataType:
    if isinstance(column.type, sa.String):
        return pa.string()
    return pa.float64() if isinstance(column.type, sa.Float) else pa.int64()


def _make_room(connection: Connection, engine: Engine, *, replace: bool) -> None:
    """Empty the store, or see that it is. Erasures on record stay."""
    full = [table.name for table in metadata.sorted_tables if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()]
    if full and not replace:
        next_step = "footfall restore BACKUP --replace, which gives up what the store holds now"
        raise StoreError("store is not empty", where=where(engine), expected="an empty store", found=", ".join(full), next_step=next_step)
    for table in reversed(metadata.sorted_tables):
        if table is not erasures and table.name in full:
            _empty(connection, table)


def _empty(connection: Connection, table: sa.Table) -> None:
    query = sa.delete(table)
    if connection.dialect.name in ("mysql", "mariadb"):
        # one large statement would outlast the patience of the driver
        query = query.with_dialect_options(mysql_limit=50_000, mariadb_limit=50_000)
        while connection.execute(query).rowcount:
            pass
        return
    connection.execute(query)


def _insert(connection: Connection, table: sa.Table, part: pa.Table) -> int:
    """A part's rows into its table; of an erasure that is on record here, the record here stays."""
    insert_new(connection, table, part.column_names, to_rows(part, part.column_names))
    return int(part.num_rows)


def _count(connection: Connection, manifest: Backup, engine: Engine) -> None:
    for name, rows in manifest.tables.items():
        table = metadata.tables[name]
        found = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        if found != rows and table is not erasures:
            next_step = "stop the service and the worker, then run the same again"
            raise StoreError(
                "somebody wrote to the store meanwhile", where=f"{where(engine)} {name}", expected=rows, found=found, next_step=next_step
            )


def _go_on_counting(connection: Connection) -> None:
    """PostgreSQL's own counters know nothing of rows that came with their number."""
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        if "seq" in table.c:
            counter = sa.func.pg_get_serial_sequence(table.name, "seq")
            connection.execute(sa.select(sa.func.setval(counter, sa.func.coalesce(sa.func.max(table.c.seq), 1))).select_from(table))
