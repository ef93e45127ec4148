"""Events in the store: the one home of users' histories for serving."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.contracts import EVENTS, LIVE_ORIGIN, C
from footfall.store.engine import reading, writing
from footfall.store.erasures import erased_until
from footfall.store.exports import claim_export, mark_exported
from footfall.store.moments import from_us, to_us
from footfall.store.rows import CHUNK, check_text, insert_new, to_rows, to_table
from footfall.store.tables import events, withdrawals

__all__ = [
    "LIVE_ORIGIN",
    "Appended",
    "UserHistory",
    "append",
    "append_in",
    "append_rows",
    "claim_export",
    "count",
    "histories",
    "history",
    "history_on",
    "mark_exported",
    "newest",
    "restore",
    "window",
    "withdraw",
    "withdrawn",
]

_APPEND_ID, _EXPORT = "append_id", "export_batch"
_IN_LIST = 500


@dataclass(frozen=True)
class Appended:
    """What `append` did: rows newly stored, the event ids that were there before (or twice in the table), and how many an erasure kept out."""

    accepted: int
    duplicates: list[str]
    erased: int = 0


@dataclass(frozen=True)
class UserHistory:
    """One user's events in (occurred_at, event_id) order; lists of equal length, moments in microseconds.

    `queries` (as they were typed) and `durations_s` are empty where nobody asked for them.
    """

    item_ids: list[str | None]
    event_types: list[str]
    occurred_at_us: list[int]
    queries: list[str | None] = field(default_factory=list)
    durations_s: list[float | None] = field(default_factory=list)


def append(engine: Engine, table: pa.Table) -> Appended:
    """Store EVENTS rows, each event_id once; durable on return.

    Up to `CHUNK` rows are one transaction. A larger table is stored chunk by chunk; after a failure, appending it again
    stores what is missing.

    Raises:
        ContractError: the table is no EVENTS table.
        StoreError: the store cannot be reached, or a value cannot be stored. Nothing of the failing chunk is kept.
    """
    table = EVENTS.check(table, where="store events")
    check_text(table, events)
    accepted, duplicates, erased = 0, [], 0
    for start in range(0, table.num_rows, CHUNK):
        chunk = table.slice(start, CHUNK)
        with writing(engine, bulk=table.num_rows > CHUNK) as connection:
            # in the order of the index of histories: a bulk append takes a quarter less time
            one = append_in(connection, EVENTS.sort(chunk) if table.num_rows > CHUNK else chunk)
        accepted += one.accepted
        duplicates += one.duplicates
        erased += one.erased
    return Appended(accepted, duplicates, erased)


def append_in(connection: Connection, table: pa.Table) -> Appended:
    """`append` of a checked table inside the caller's transaction: durable when that commits."""
    if table.num_rows == 0:
        return Appended(0, [])
    names = [name for name in EVENTS.schema.names if table.column(name).null_count < table.num_rows]
    users = table.column(C.USER_ID).unique().to_pylist()
    return append_rows(connection, names, to_rows(table, names), erased_until(connection, users))


def append_rows(connection: Connection, names: Sequence[str], given: list[tuple[Any, ...]], erased: Mapping[str, int]) -> Appended:
    """`append_in` of rows that hold the columns `names`, of which event_id is the first and origin the last, as in the contract.

    `erased` are those of their users who were erased, as `erased_until` says: what they did before that does not come back.
    """
    token = secrets.randbits(62)
    kept = [row for row in given if not _is_erased(names, row, erased)] if erased else given
    if not kept:
        return Appended(0, [], len(given))
    rows, repeated = _distinct(kept)
    # '' marks a live event that waits for its export
    full = [(*row, token, "" if row[-1] == LIVE_ORIGIN else None) for row in rows]
    count = insert_new(connection, events, [*names, _APPEND_ID, _EXPORT], full)
    if count == len(full) and connection.dialect.name in ("sqlite", "postgresql"):
        return Appended(len(full), repeated, len(given) - len(kept))
    # another call, perhaps at this moment, stored some of them: the token tells ours from theirs
    known = _written_by_others(connection, [str(row[0]) for row in rows], token)
    return Appended(len(full) - len(known), repeated + known, len(given) - len(kept))


def _is_erased(names: Sequence[str], row: tuple[Any, ...], erased: Mapping[str, int]) -> bool:
    until = erased.get(row[names.index(C.USER_ID)])
    return until is not None and min(row[names.index(C.OCCURRED_AT)], row[names.index(C.RECEIVED_AT)]) <= until


def _distinct(rows: list[tuple[object, ...]]) -> tuple[list[tuple[object, ...]], list[str]]:
    first: dict[object, tuple[object, ...]] = {}
    repeated = [str(row[0]) for row in rows if first.setdefault(row[0], row) is not row]
    return list(first.values()), repeated


def _written_by_others(connection: Connection, ids: list[str], token: int) -> list[str]:
    known: list[str] = []
    for part in _parts(ids):
        query = sa.select(events.c.event_id).where(events.c.event_id.in_(part), events.c.append_id != token)
        known += connection.execute(query).scalars()
    return known


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _IN_LIST):
        yield list(ids[start : start + _IN_LIST])


def _newest(columns: Sequence[sa.Column[Any]], event_id: sa.ColumnElement[str] = events.c.event_id) -> sa.Select[Any]:
    return (
        sa.select(*columns)
        .where(events.c.user_id == sa.bindparam("user"), events.c.occurred_at < sa.bindparam("before"), events.c.withdrawn == 0)
        .order_by(events.c.occurred_at.desc(), event_id.desc())
        .limit(sa.bindparam("newest"))
    )


def _in_one_row(rows: sa.Select[Any]) -> sa.Select[Any]:
    return sa.select(*[sa.func.json_group_array(column) for column in rows.subquery().c])


_READ = (events.c.item_id, events.c.event_type, events.c.occurred_at)
_READ_WITH_SIGNALS = (*_READ, events.c.query, events.c.duration_s)
# no index holds these two: who does not need them is answered from the index alone
_HISTORY, _HISTORY_WITH_SIGNALS = _newest(_READ), _newest(_READ_WITH_SIGNALS)
# PostgreSQL may compare ids as a language does, and training compares bytes: of a basket that a history begins in, other events would be read
_BYTES = events.c.event_id.collate("C")
_BY_BYTES = {_HISTORY: _newest(_READ, _BYTES), _HISTORY_WITH_SIGNALS: _newest(_READ_WITH_SIGNALS, _BYTES)}
_IN_ONE_ROW = {rows: _in_one_row(rows) for rows in (_HISTORY, _HISTORY_WITH_SIGNALS)}


def history(engine: Engine, user_id: str, before_us: int, limit: int) -> UserHistory:
    """The newest `limit` events of one user strictly before `before_us`, withdrawn ones left out; empty for an unknown user."""
    return histories(engine, [user_id], before_us, limit)[0]


def histories(engine: Engine, user_ids: Iterable[str], before_us: int, limit: int) -> list[UserHistory]:
    """`history` of each of `user_ids`, in their order."""
    with reading(engine) as connection:
        return [history_on(connection, user_id, before_us, limit) for user_id in user_ids]


def history_on(connection: Connection, user_id: str, before_us: int, limit: int, *, signals: bool = False) -> UserHistory:
    """`history` on the caller's connection; with `signals` also what was searched for and how long views lasted."""
    asked = _HISTORY_WITH_SIGNALS if signals else _HISTORY
    values = {"user": user_id, "before": before_us, "newest": limit}
    if connection.dialect.name == "sqlite":
        # its driver lets go of the interpreter at every row: with a busy thread beside it a long history would wait hundreds of times
        return UserHistory(*(json.loads(text)[::-1] for text in connection.execute(_IN_ONE_ROW[asked], values).one()))
    rows = connection.execute(_BY_BYTES[asked] if connection.dialect.name == "postgresql" else asked, values).all()[::-1]
    return UserHistory(*([row[column] for row in rows] for column in range(len(asked.selected_columns))))


def window(engine: Engine, start: datetime, end: datetime) -> pa.Table:
    """EVENTS with start <= occurred_at < end, withdrawn ones left out, in the contract's order."""
    query = _columns().where(events.c.occurred_at >= to_us(start), events.c.occurred_at < to_us(end), events.c.withdrawn == 0)
    with reading(engine) as connection:
        return to_table(EVENTS, connection.execute(query).all())


def withdraw(engine: Engine, event_ids: Sequence[str], reason: str) -> int:
    """Take events out of histories and windows, with a reason; the rows stay. Returns how many were found.

    An id that was withdrawn before keeps its first reason.
    """
    found = 0
    with writing(engine) as connection:
        for part in _parts(list(dict.fromkeys(event_ids))):
            insert_new(connection, withdrawals, [C.EVENT_ID, C.REASON], [(event_id, reason) for event_id in part])
            here = sa.select(events.c.event_id).where(events.c.event_id.in_(part))
            present = list(connection.execute(here).scalars())
            connection.execute(sa.update(events).where(events.c.event_id.in_(present)).values(withdrawn=1))
            found += len(present)
    return found


def restore(engine: Engine, event_ids: Sequence[str]) -> int:
    """Bring withdrawn events back into histories and windows. Returns how many were withdrawn."""
    restored = 0
    with writing(engine) as connection:
        for part in _parts(list(dict.fromkeys(event_ids))):
            connection.execute(sa.update(events).where(events.c.event_id.in_(part)).values(withdrawn=0))
            restored += connection.execute(sa.delete(withdrawals).where(withdrawals.c.event_id.in_(part))).rowcount
    return restored


def withdrawn(engine: Engine) -> dict[str, int]:
    """How many events were withdrawn, by reason."""
    query = sa.select(withdrawals.c.reason, sa.func.count()).group_by(withdrawals.c.reason).order_by(withdrawals.c.reason)
    with reading(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def count(engine: Engine, origin: str | None = None) -> int:
    """Events stored, withdrawn ones included; of one origin when it is given."""
    query = sa.select(sa.func.count()).select_from(events)
    if origin is not None:
        query = query.where(events.c.origin == origin)
    with reading(engine) as connection:
        return connection.execute(query).scalar_one()


def newest(engine: Engine) -> datetime | None:
    """The moment of the newest event; None in an empty store."""
    with reading(engine) as connection:
        moment: int | None = connection.execute(sa.select(sa.func.max(events.c.occurred_at))).scalar()
    return None if moment is None else from_us(moment)


def _columns() -> sa.Select[tuple[object, ...]]:
    return sa.select(*[events.c[name] for name in EVENTS.schema.names])
