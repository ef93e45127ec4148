"""Items as the shop tells them: the catalogue of the live store. An item that nobody told of is not here, which says nothing against it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.contracts import CATALOGUE, C
from footfall.store import revisions
from footfall.store.engine import reading, writing
from footfall.store.moments import to_us
from footfall.store.rows import check_text, to_rows
from footfall.store.tables import UPDATED_AT, items
from footfall.store.upserts import subject_of, upsert

FACTS = (C.ITEM_ID, C.BRAND, C.CATEGORY_PATH, C.PRICE_MINOR, C.CURRENCY, C.AVAILABLE_FROM, C.AVAILABLE, C.RECOMMENDABLE)
"""What a slate request may ask of an item: the catalogue without its texts."""


def put(engine: Engine, table: pa.Table, at: datetime) -> int:
    """Take items as they are told now, each in the place of what was known of it; durable on return. Done again, it changes nothing.

    Args:
        engine: the store.
        table: CATALOGUE; of two rows of one item the later one counts.
        at: now, for `updated_at` of those that have changed.

    Returns:
        How many items are new or have changed.

    Raises:
        ContractError: the table is no CATALOGUE table.
        StoreError: the store cannot be reached, or a value cannot be stored; nothing is changed.
    """
    table = CATALOGUE.check(table, where="store items")
    check_text(table, items)
    names = [*CATALOGUE.schema.names, UPDATED_AT]
    # no database but PostgreSQL has truth values of its own
    rows = [(*(int(value) if isinstance(value, bool) else value for value in row), to_us(at)) for row in to_rows(table, names[:-1])]
    with writing(engine) as connection:
        return upsert(connection, items, names, rows)


def catalogue(engine: Engine, columns: Sequence[str] | None = None) -> pa.Table:
    """CATALOGUE in its order, or some of its columns (such as FACTS)."""
    fields = [field for field in CATALOGUE.schema if columns is None or field.name in columns]
    with reading(engine) as connection:
        rows = connection.execute(sa.select(*[items.c[field.name] for field in fields]).order_by(items.c.item_id)).all()
    found = list(zip(*rows, strict=True)) or [()] * len(fields)
    table = pa.table([_array(values, field.type) for field, values in zip(fields, found, strict=True)], schema=pa.schema(fields))
    return table.sort_by([(C.ITEM_ID, "ascending")]) if C.ITEM_ID in table.column_names else table


def count(engine: Engine) -> int:
    """How many items the shop has told of."""
    with reading(engine) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(items)).scalar_one()


def revision(engine: Engine) -> int:
    """A number that is another after every change of any item; see `revisions`."""
    return revisions.current(engine, subject_of(items))


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array([bool(value) for value in values], kind) if pa.types.is_boolean(kind) else pa.array(values, kind)
