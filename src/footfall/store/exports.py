"""Live events on their way to raw batches, each exactly once: claimed in the store, written by the caller, marked.

A claim is kept until it is marked: when the caller dies in between, the next `claim_export` hands out the same batches
with the same rows, and a writer that is idempotent by batch id makes that harmless.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import EVENTS
from footfall.errors import StoreError
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.rows import to_table
from footfall.store.tables import events, exports

_DAY_US = 86_400_000_000


def claim_export(engine: Engine, until: datetime) -> list[tuple[str, pa.Table]]:
    """Batches of live events that no raw batch holds yet, one a day of occurrence, oldest first.

    Batch ids are `live-2017-11-03`, and `live-2017-11-03-2` for what came in after the first of that day was claimed.
    Withdrawn events are left out.

    Args:
        engine: the store.
        until: only events that occurred before this moment.
    """
    with writing(engine) as connection:
        _claim(connection, to_us(until))
    with reading(engine) as connection:
        waiting = sa.select(exports.c.batch_id).where(exports.c.exported == 0).order_by(exports.c.day, exports.c.batch_id)
        return [(batch_id, _rows(connection, batch_id)) for batch_id in connection.execute(waiting).scalars().all()]


def mark_exported(engine: Engine, batch_id: str) -> None:
    """Say that the batch is written; marking twice is harmless.

    Raises:
        StoreError: no such batch was claimed.
    """
    with writing(engine) as connection:
        known = connection.execute(sa.select(exports.c.batch_id).where(exports.c.batch_id == batch_id)).scalar()
        if known is None:
            raise StoreError("export batch is unknown", where="store exports", expected="a batch id from claim_export", found=batch_id)
        connection.execute(sa.update(exports).where(exports.c.batch_id == batch_id).values(exported=1))


def _claim(connection: Connection, until_us: int) -> None:
    waiting = (events.c.export_batch == "", events.c.occurred_at < until_us, events.c.withdrawn == 0)
    if connection.dialect.name in ("postgresql", "mysql", "mariadb"):
        # two exporters at once: the second waits here, and then finds nothing left
        connection.execute(sa.select(events.c.seq).where(*waiting).with_for_update()).all()
    day = (events.c.occurred_at - events.c.occurred_at % _DAY_US).label("day")
    starts = connection.execute(sa.select(day).where(*waiting).distinct()).scalars().all()
    for start in sorted(int(start) for start in starts):
        batch_id = _next_id(connection, from_us(start).date().isoformat())
        mine = sa.update(events).where(*waiting, events.c.occurred_at >= start, events.c.occurred_at < start + _DAY_US)
        rows = connection.execute(mine.values(export_batch=batch_id)).rowcount
        connection.execute(sa.insert(exports).values(batch_id=batch_id, day=from_us(start).date().isoformat(), rows=rows))


def _next_id(connection: Connection, day: str) -> str:
    before = connection.execute(sa.select(sa.func.count()).select_from(exports).where(exports.c.day == day)).scalar_one()
    return f"live-{day}" if before == 0 else f"live-{day}-{before + 1}"


def _rows(connection: Connection, batch_id: str) -> pa.Table:
    query = sa.select(*[events.c[name] for name in EVENTS.schema.names]).where(events.c.export_batch == batch_id)
    return to_table(EVENTS, connection.execute(query).all())
