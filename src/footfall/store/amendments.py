"""Events that came in by HTTP and were mended in quarantine: the store says of them what the accepted batch says."""

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from footfall.contracts import EVENTS, LIVE_ORIGIN, C
from footfall.store.engine import writing
from footfall.store.rows import check_text, to_rows
from footfall.store.tables import events

_KEPT = (C.EVENT_ID, C.USER_ID, C.ORIGIN)


def amend(engine: Engine, table: pa.Table) -> int:
    """Overwrite live events with the rows of `table` (EVENTS) that have their ids; ids, users and origins stay. Returns how many were found.

    Doing it again changes nothing.

    Raises:
        StoreError: the store cannot be reached, or a value cannot be stored; nothing is changed.
    """
    table = EVENTS.check(table, where="amended events")
    check_text(table, events)
    changed = [name for name in EVENTS.schema.names if name not in _KEPT]
    values: dict[str, sa.BindParameter[object]] = {name: sa.bindparam(f"new_{name}") for name in changed}
    statement = sa.update(events).where(events.c.event_id == sa.bindparam("known"), events.c.origin == LIVE_ORIGIN).values(values)
    found = 0
    with writing(engine) as connection:
        for row in to_rows(table, [C.EVENT_ID, *changed]):
            given = {"known": row[0], **{f"new_{name}": value for name, value in zip(changed, row[1:], strict=True)}}
            found += connection.execute(statement, given).rowcount
    return found
