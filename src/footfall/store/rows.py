"""Arrow tables to SQL rows and back, and the insert that skips rows which are already there, by dialect."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.dml import Insert

from footfall.contracts import Contract
from footfall.errors import StoreError
from footfall.store.tables import Id

CHUNK = 50_000
"""Rows in one transaction of a bulk write."""


def insert_new(connection: Connection, table: sa.Table, names: Sequence[str], rows: list[tuple[Any, ...]]) -> int:
    """Insert `rows` (values in the order of `names`), skipping those whose unique key exists; returns the driver's row count."""
    statement, order = _compiled(connection.dialect, table, tuple(names))
    if order != list(range(len(names))):
        rows = [tuple(row[position] for position in order) for row in rows]
    return connection.exec_driver_sql(statement, rows).rowcount


@lru_cache(maxsize=64)
def _compiled(dialect: Dialect, table: sa.Table, names: tuple[str, ...]) -> tuple[str, list[int]]:
    """The statement in the driver's own words, and which of `names` stands at each of its placeholders."""
    compiled = _skip_existing(dialect.name, table, list(names)).compile(dialect=_positional(dialect), column_keys=list(names))
    return str(compiled), [names.index(name) for name in compiled.positiontup or names]


def _skip_existing(dialect: str, table: sa.Table, names: list[str]) -> Insert:
    values: dict[str, sa.BindParameter[Any]] = {name: sa.bindparam(name) for name in names}
    if dialect == "postgresql":
        return postgresql.insert(table).values(values).on_conflict_do_nothing()
    if dialect == "sqlite":
        return sqlite.insert(table).values(values).on_conflict_do_nothing()
    # INSERT IGNORE would also hide truncation and other faults; this touches nothing when the key exists
    return mysql.insert(table).values(values).on_duplicate_key_update({names[0]: table.c[names[0]]})


def _positional(dialect: Dialect) -> Dialect:
    if dialect.positional:
        return dialect
    kind: Any = type(dialect)
    copy: Dialect = kind(paramstyle="format")
    copy.server_version_info = dialect.server_version_info
    return copy


def to_rows(table: pa.Table, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The columns `names` of `table` as tuples of Python values; moments become microseconds."""
    columns = []
    for name in names:
        column = table.column(name)
        columns.append((column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist())
    return list(zip(*columns, strict=True))


def to_table(contract: Contract, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """SQL rows in the order of the contract's columns as its table, in its total order."""
    columns = list(zip(*rows, strict=True)) or [()] * len(contract.schema)
    arrays = []
    for field, values in zip(contract.schema, columns, strict=True):
        if pa.types.is_timestamp(field.type):
            arrays.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return contract.sort(pa.table(arrays, schema=contract.schema))


def check_text(table: pa.Table, sql: sa.Table) -> None:
    """Refuse, before the first write, text that one of the databases could not keep as it is.

    Raises:
        StoreError: an id is longer than its column, or text holds a NUL character, which PostgreSQL cannot store.
    """
    for name in table.column_names:
        column = table.column(name)
        if not pa.types.is_string(column.type) or column.null_count == len(column):
            continue
        kind = sql.c[name].type
        longest = pc.max(pc.utf8_length(column)).as_py()
        if isinstance(kind, Id) and kind.length is not None and longest > kind.length:
            raise StoreError(f"{name} is too long to store", where=sql.name, expected=f"at most {kind.length} characters", found=longest)
        if pc.any(pc.match_substring(column, "\x00")).as_py():
            raise StoreError(f"{name} holds a NUL character", where=sql.name, expected="text without NUL", next_step="clean the rows")
