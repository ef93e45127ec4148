"""Putting accepted events back into a store that lost them: as they were, and not once more on their way to a raw batch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import EVENTS, LIVE_ORIGIN, USERS, C
from footfall.store import consent
from footfall.store.engine import reading, writing
from footfall.store.events import append_in
from footfall.store.rows import CHUNK, check_text, insert_new
from footfall.store.tables import consents, events, exports

_LIVE_BATCH = re.compile(r"live-(\d{4}-\d{2}-\d{2})(?:-(\d+))?")
_IN_LIST = 500


def put_back(engine: Engine, batch_id: str, table: pa.Table) -> int:
    """Store the events of one accepted batch; those that are there already stay as they are. Durable on return.

    Events that came by HTTP are marked as exported with this batch: they are in a raw batch, and must not go into another one.

    Returns:
        How many were missing.

    Raises:
        ContractError: the table is no EVENTS table.
        StoreError: the store cannot be reached. Doing it again stores what is missing.
    """
    table = EVENTS.sort(EVENTS.check(table, where=f"batch {batch_id}"))
    check_text(table, events)
    missing = 0
    for start in range(0, table.num_rows, CHUNK):
        chunk = table.slice(start, CHUNK)
        with writing(engine, bulk=True) as connection:
            missing += append_in(connection, chunk).accepted
            _mark(connection, batch_id, chunk)
    return missing


def claim_again(engine: Engine, batch_ids: Iterable[str]) -> None:
    """Take the ids of live batches that exist, accepted or held, as given away: the next export counts on from there."""
    newest = Counter[str]()
    for batch_id in batch_ids:
        if found := _LIVE_BATCH.fullmatch(batch_id):
            newest[found[1]] = max(newest[found[1]], int(found[2] or 1))
    rows = [(f"live-{day}" if number == 1 else f"live-{day}-{number}", day, 0, 1) for day, last in newest.items() for number in range(1, last + 1)]
    if rows:
        with writing(engine) as connection:
            insert_new(connection, exports, ["batch_id", "day", "rows", "exported"], rows)


def users_with_consent(engine: Engine) -> frozenset[str]:
    """Users of whom the store knows what they have agreed to."""
    with reading(engine) as connection:
        return frozenset(connection.execute(sa.select(consents.c.user_id).distinct()).scalars())


def put_back_consent(engine: Engine, table: pa.Table, but: frozenset[str]) -> None:
    """Keep what the rows of an accepted USERS batch say, but not of users of whom the store knew more."""
    table = USERS.check(table, where="store rebuild")
    unknown = pa.array([user not in but for user in table.column(C.USER_ID).to_pylist()], pa.bool_())
    consent.record(engine, table.filter(unknown))


def _mark(connection: Connection, batch_id: str, chunk: pa.Table) -> None:
    origins = chunk.column(C.ORIGIN).to_pylist()
    live = [event_id for event_id, origin in zip(chunk.column(C.EVENT_ID).to_pylist(), origins, strict=True) if origin == LIVE_ORIGIN]
    for start in range(0, len(live), _IN_LIST):
        here = sa.and_(events.c.export_batch == "", events.c.event_id.in_(live[start : start + _IN_LIST]))
        connection.execute(sa.update(events).where(here).values(export_batch=batch_id))
