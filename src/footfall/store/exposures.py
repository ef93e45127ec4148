"""Exposures in the store: every slate that was returned, a row a position."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import EXPOSURES
from footfall.store.engine import reading, writing
from footfall.store.moments import to_us
from footfall.store.rows import CHUNK, check_text, insert_new, to_rows, to_table
from footfall.store.tables import exposures


def append(engine: Engine, table: pa.Table) -> None:
    """Store EXPOSURES rows; durable on return. A (request_id, position) that is there already is left as it is.

    Raises:
        ContractError: the table is no EXPOSURES table.
        StoreError: the store cannot be reached, or a value cannot be stored.
    """
    table = EXPOSURES.check(table, where="store exposures")
    check_text(table, exposures)
    for start in range(0, table.num_rows, CHUNK):
        with writing(engine) as connection:
            append_in(connection, table.slice(start, CHUNK))


def append_in(connection: Connection, table: pa.Table) -> None:
    """`append` of a checked table inside the caller's transaction."""
    if table.num_rows:
        names = EXPOSURES.schema.names
        insert_new(connection, exposures, names, to_rows(table, names))


def window(engine: Engine, start: datetime, end: datetime) -> pa.Table:
    """EXPOSURES with start <= shown_at < end, in the contract's order."""
    query = sa.select(*[exposures.c[name] for name in EXPOSURES.schema.names])
    query = query.where(exposures.c.shown_at >= to_us(start), exposures.c.shown_at < to_us(end))
    with reading(engine) as connection:
        return to_table(EXPOSURES, connection.execute(query).all())


def count_slates(engine: Engine, release: str | None = None) -> int:
    """How many slates were logged (rows at position 1); by one release when it is given."""
    query = sa.select(sa.func.count()).select_from(exposures).where(exposures.c.position == 1)
    if release is not None:
        query = query.where(exposures.c.release == release)
    with reading(engine) as connection:
        return connection.execute(query).scalar_one()
