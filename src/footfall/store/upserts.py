"""Rows that replace what is known under their key: last write wins, and what says nothing new is not written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from footfall.store.revisions import renew, take_turn
from footfall.store.rows import insert_new
from footfall.store.tables import UPDATED_AT

Row = tuple[Any, ...]
_CHUNK = 200


def upsert(connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Row]) -> int:
    """Put rows in the place of those with their primary key, inside the caller's transaction; of two rows with one key the later one counts.

    A row that differs from the known one in nothing but `updated_at` is left alone. The subject of `revisions` is the table's name without
    `footfall_`: it gets another number when anything has changed.

    Args:
        connection: a connection of `writing`.
        table: the table.
        names: columns of the rows, the whole primary key and `updated_at` among them.
        rows: values in the order of `names`, as the database takes them.

    Returns:
        How many rows are new or have changed.
    """
    subject = subject_of(table)
    take_turn(connection, subject)
    keys = [names.index(column.name) for column in table.primary_key.columns]
    newest = {tuple(row[position] for position in keys): row for row in rows}
    changed = 0
    for part in _parts(sorted(newest)):
        known = _known(connection, table, names, keys, part)
        fresh = [key for key in part if key not in known or not _same(known[key], newest[key], names)]
        _delete(connection, table, [key for key in fresh if key in known])
        if fresh:
            insert_new(connection, table, names, [newest[key] for key in fresh])
        changed += len(fresh)
    if changed:
        renew(connection, subject)
    return changed


def subject_of(table: sa.Table) -> str:
    """What `revisions` calls a table."""
    return table.name.removeprefix("footfall_")


def _same(one: Row, other: Row, names: Sequence[str]) -> bool:
    return all(a == b for a, b, name in zip(one, other, names, strict=True) if name != UPDATED_AT)


def _known(connection: Connection, table: sa.Table, names: Sequence[str], keys: list[int], part: list[Row]) -> dict[Row, Row]:
    rows = connection.execute(sa.select(*[table.c[name] for name in names]).where(_among(table, part)))
    return {tuple(row[position] for position in keys): tuple(row) for row in rows}


def _delete(connection: Connection, table: sa.Table, part: list[Row]) -> None:
    if part:
        connection.execute(sa.delete(table).where(_among(table, part)))


def _among(table: sa.Table, part: list[Row]) -> sa.ColumnElement[bool]:
    columns = list(table.primary_key.columns)
    return columns[0].in_([key[0] for key in part]) if len(columns) == 1 else sa.tuple_(*columns).in_(part)


def _parts(keys: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]
