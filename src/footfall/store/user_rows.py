"""The rows of one user, whatever the table: found, counted, and deleted so that they cannot be read back. Which users must go, `erasures` knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.store.engine import reading, writing
from footfall.store.moments import to_us
from footfall.store.revisions import renew, take_turn
from footfall.store.tables import UPDATED_AT, consents, events, exposures, relations, users, withdrawals

_TOLD = ("users", "relations")
"""Of the tables, those that `revisions` counts."""


def sweep(engine: Engine, user_id: str, until: datetime) -> dict[str, int]:
    """Delete what this user did at or before `until`: what was being written while the erasure committed. Returns how many rows went, by table."""
    if not any(left_in(engine, user_id, until).values()):
        return {}
    with shredding(engine) as connection:
        return delete(connection, user_id, to_us(until), everything=False)


def left_in(engine: Engine, user_id: str, until: datetime) -> dict[str, int]:
    """How many rows from at or before `until` the store still has of one user, by table."""
    with reading(engine) as connection:
        return {
            table.name.removeprefix("footfall_"): connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
            for table, where in _rows_of(connection, user_id, to_us(until), everything=False)
        }


def delete(connection: Connection, user_id: str, until_us: int, *, everything: bool) -> dict[str, int]:
    """Delete all rows of a user, or those from at or before `until_us` (microseconds). Returns how many went, by table."""
    gone = {}
    for subject in _TOLD:  # before any row: whoever writes about them must not wait for us while we wait for them
        take_turn(connection, subject)
    for table, where in _rows_of(connection, user_id, until_us, everything=everything):
        gone[table.name.removeprefix("footfall_")] = connection.execute(sa.delete(table).where(*where)).rowcount
    for subject in filter(gone.get, _TOLD):
        renew(connection, subject)
    return gone


def owners(engine: Engine) -> Iterator[str]:
    """Everybody of whom the store has a row."""
    known: set[str] = set()
    with reading(engine) as connection:
        for column in (events.c.user_id, exposures.c.user_id, consents.c.user_id, users.c.user_id, relations.c.user_id, relations.c.other_user_id):
            known.update(name for name in connection.execute(sa.select(column).distinct()).scalars() if name is not None)
    yield from sorted(known)


@contextmanager
def shredding(engine: Engine) -> Iterator[Connection]:
    """`writing`, after which the deleted rows cannot be read from SQLite's file either: zeroed in its pages, and gone from its log."""
    if engine.dialect.name != "sqlite":
        with writing(engine) as connection:
            yield connection
        return
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        try:
            yield connection
        finally:
            connection.exec_driver_sql("PRAGMA secure_delete=OFF")
    with closing(engine.raw_connection()) as raw:
        # a reader that lasts may hold it up; then the next checkpoint does it
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def _rows_of(connection: Connection, user_id: str, until_us: int, *, everything: bool) -> list[tuple[sa.Table, list[Any]]]:
    """(table, conditions) for all rows of a user, or for those from at or before `until_us`; withdrawals first, which need the events."""
    before = [] if everything else [sa.or_(events.c.occurred_at <= until_us, events.c.received_at <= until_us)]
    mine = [events.c.user_id == user_id, *before]
    said = [consents.c.user_id == user_id]
    related = sa.or_(relations.c.user_id == user_id, relations.c.other_user_id == user_id)
    if not everything:
        # a word about consent without a date is old, unless the user has come back
        back = connection.execute(sa.select(events.c.seq).where(events.c.user_id == user_id, events.c.occurred_at > until_us).limit(1)).first()
        dated = consents.c.recorded_at <= until_us
        said.append(dated if back else sa.or_(dated, consents.c.recorded_at.is_(None)))
    return [
        (withdrawals, [withdrawals.c.event_id.in_(sa.select(events.c.event_id).where(*mine))]),
        (events, mine),
        (exposures, [exposures.c.user_id == user_id, *([] if everything else [exposures.c.shown_at <= until_us])]),
        (consents, said),
        (users, [users.c.user_id == user_id, *([] if everything else [users.c[UPDATED_AT] <= until_us])]),
        # those of the other one too, who is not erased: they name this user
        (relations, [related, *([] if everything else [relations.c[UPDATED_AT] <= until_us])]),
    ]
