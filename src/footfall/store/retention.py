"""Retention: whole months leave the store, and only what a raw batch holds.

An event that came by HTTP leaves once the batch that it went into is accepted; one that waits for its export, or whose batch is held, stays,
however old it is. All others came with a batch that was accepted in the same ingest.
Exposures are in the store alone: their months are over when they are dropped, and a backup is their last copy.
What the shop tells (items, users, relations, campaigns, rules and who changed them) is what holds now, not what happened: it stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.tables import events, exports, exposures, withdrawals

_CHUNK = 5_000
"""Rows in one transaction: a service beside it waits for no more."""
_PAGES = 2_000
"""Pages of an SQLite file in one step of giving them back to the disk."""


@dataclass
class Dropped:
    """What left the store.

    Attributes:
        events, exposures: rows by month of occurrence, such as "2017-03".
        kept: events older than that, which no raw batch holds: they wait for their export, were withdrawn before it, or their batch is held.
        bytes_freed: by how much SQLite's file has shrunk; other databases use the room again by themselves.
    """

    events: dict[str, int] = field(default_factory=dict)
    exposures: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    bytes_freed: int = 0


def first_kept(today: date, months: int) -> date:
    """The first day of the oldest month that stays when the present one and `months` whole ones before it do."""
    number = today.year * 12 + today.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def drop_before(engine: Engine, month: date, accepted: Callable[[str], bool]) -> Dropped:
    """Drop the events and exposures from before the first day of `month`, UTC. Done again, it drops nothing more.

    Args:
        engine: the store.
        month: any day of the oldest month that stays.
        accepted: whether data/raw holds this batch of events.

    Raises:
        StoreError: the store cannot be reached; what was dropped until then stays dropped.
    """
    cutoff = to_us(datetime(month.year, month.month, 1, tzinfo=UTC))
    which = _held_by_raw(engine, cutoff, accepted)
    gone: Counter[str] = Counter()
    while part := _drop_events(engine, cutoff, which):
        gone.update(part)
    shown: Counter[str] = Counter()
    while part := _drop_exposures(engine, cutoff):
        shown.update(part)
    with reading(engine) as connection:
        kept = connection.execute(sa.select(sa.func.count()).select_from(events).where(events.c.occurred_at < cutoff)).scalar_one()
    return Dropped(dict(sorted(gone.items())), dict(sorted(shown.items())), kept, _shrink(engine) if gone or shown else 0)


def droppable(engine: Engine, month: date, accepted: Callable[[str], bool]) -> Dropped:
    """What `drop_before` would drop, and what it would keep."""
    cutoff = to_us(datetime(month.year, month.month, 1, tzinfo=UTC))
    which = _held_by_raw(engine, cutoff, accepted)
    with reading(engine) as connection:
        gone = _by_month(connection, events.c.occurred_at, which, cutoff)
        shown = _by_month(connection, exposures.c.shown_at, sa.true(), cutoff)
        old = connection.execute(sa.select(sa.func.count()).select_from(events).where(events.c.occurred_at < cutoff)).scalar_one()
    return Dropped(gone, shown, old - sum(gone.values()))


def _held_by_raw(engine: Engine, cutoff: int, accepted: Callable[[str], bool]) -> sa.ColumnElement[bool]:
    """The condition of an event that some raw batch holds."""
    old = sa.select(events.c.export_batch).where(events.c.occurred_at < cutoff, events.c.export_batch.is_not(None)).distinct()
    marked = sa.select(exports.c.batch_id).where(exports.c.exported == 1)
    with reading(engine) as connection:
        batches = set(connection.execute(old).scalars()) & set(connection.execute(marked).scalars())
    return sa.or_(events.c.export_batch.is_(None), events.c.export_batch.in_(sorted(filter(accepted, batches))))


def _drop_events(engine: Engine, cutoff: int, which: sa.ColumnElement[bool]) -> Counter[str]:
    query = sa.select(events.c.seq, events.c.event_id, events.c.occurred_at, events.c.withdrawn).where(events.c.occurred_at < cutoff, which)
    with writing(engine) as connection:
        rows = connection.execute(query.order_by(events.c.occurred_at).limit(_CHUNK)).all()
        connection.execute(sa.delete(events).where(events.c.seq.in_([row.seq for row in rows])))
        if withdrawn := [row.event_id for row in rows if row.withdrawn]:
            connection.execute(sa.delete(withdrawals).where(withdrawals.c.event_id.in_(withdrawn)))
    return Counter(_month(row.occurred_at) for row in rows)


def _drop_exposures(engine: Engine, cutoff: int) -> Counter[str]:
    query = sa.select(exposures.c.seq, exposures.c.shown_at).where(exposures.c.shown_at < cutoff).order_by(exposures.c.shown_at).limit(_CHUNK)
    with writing(engine) as connection:
        rows = connection.execute(query).all()
        connection.execute(sa.delete(exposures).where(exposures.c.seq.in_([row.seq for row in rows])))
    return Counter(_month(row.shown_at) for row in rows)


def _by_month(connection: Connection, moment: sa.Column[int], which: sa.ColumnElement[bool], cutoff: int) -> dict[str, int]:
    day = sa.cast((moment - moment % 86_400_000_000) / 86_400_000_000, sa.BigInteger)
    found: Counter[str] = Counter()
    for start, rows in connection.execute(sa.select(day, sa.func.count()).where(moment < cutoff, which).group_by(day)):
        found[_month(int(start) * 86_400_000_000)] += rows
    return dict(sorted(found.items()))


def _month(moment: int) -> str:
    return f"{from_us(moment):%Y-%m}"


def _shrink(engine: Engine) -> int:
    """Give free pages of SQLite's file back to the disk, step by step. A file of an earlier Footfall cannot shrink, and uses them again."""
    if engine.dialect.name != "sqlite":
        return 0
    with reading(engine) as connection:
        before = connection.exec_driver_sql("PRAGMA page_count").scalar_one() * connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    free = 1
    while free:
        with writing(engine) as connection:
            at_first = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            driver: Any = connection.connection.driver_connection
            driver.execute(
                f"PRAGMA incremental_vacuum({_PAGES})"
            ).fetchall()  # a row without columns for each page: SQLAlchemy would stop at the first
            free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        if free == at_first:
            break
    with closing(engine.raw_connection()) as raw:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    with reading(engine) as connection:
        return int(
            before - connection.exec_driver_sql("PRAGMA page_count").scalar_one() * connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        )
