"""Erasures: a user leaves the store at once, and a record stays that keeps old rows of theirs from coming back.

The record names the user by a digest of the pseudonym. What the user did at or before the moment of the erasure is gone and stays gone,
whatever door it comes by again; what they do afterwards is new business. Raw batches, quarantine and caches are `flows.erasing`'s.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.errors import StoreError
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.revisions import renew, take_turn
from footfall.store.rows import insert_new
from footfall.store.tables import UPDATED_AT, consents, erasures, events, exposures, relations, users, withdrawals

_CHUNK = 200
_TOLD = ("users", "relations")
"""Of the tables, those that `revisions` counts."""
_ANYBODY = "SELECT 1 FROM footfall_erasures LIMIT 1"
"""Asked at every write, so in the drivers' own words: building it would cost as much as the answer."""


@dataclass(frozen=True)
class Erasure:
    """One erasure on record.

    Attributes:
        erasure_id: its name.
        subject: who was erased: `subject_of` the pseudonym.
        requested_at: what happened until then is erased.
        finished_at: when all places were clean; None while some wait.
        certificate: the document, or what of it is known so far.
    """

    erasure_id: str
    subject: str
    requested_at: datetime
    finished_at: datetime | None = None
    certificate: str | None = None


def subject_of(user_id: str) -> str:
    """The digest by which a pseudonym is remembered after its erasure."""
    return hashlib.sha256(b"footfall erasure\0" + user_id.encode()).hexdigest()


def begin(engine: Engine, user_id: str, requested_at: datetime) -> tuple[Erasure, dict[str, int]]:
    """Take one user out of the store and put the erasure on record, in one transaction: durable on return, and seen by the next request.

    An erasure of the same user that has not been finished is taken up again, with the later moment.

    Args:
        engine: the store.
        user_id: the pseudonym.
        requested_at: UTC; what happens later is kept.

    Returns:
        The record, and how many rows went, by table: events, exposures, consents, withdrawals, users, relations.

    Raises:
        StoreError: the store cannot be reached. Nothing is erased then.
    """
    subject, at_us = subject_of(user_id), to_us(requested_at)
    mine = (erasures.c.subject == subject, erasures.c.finished_at.is_(None))
    with _shredding(engine) as connection:
        open_one = connection.execute(sa.select(erasures).where(*mine).order_by(erasures.c.requested_at).limit(1)).first()
        if open_one is None:
            record = Erasure(f"{requested_at:%Y%m%d}-{secrets.token_hex(6)}", subject, requested_at)
            connection.execute(sa.insert(erasures).values(erasure_id=record.erasure_id, subject=subject, requested_at=at_us))
        else:
            at_us = max(at_us, int(open_one.requested_at))
            record = Erasure(open_one.erasure_id, subject, from_us(at_us), None, open_one.certificate)
            connection.execute(sa.update(erasures).where(erasures.c.erasure_id == record.erasure_id).values(requested_at=at_us))
        return record, _delete(connection, user_id, at_us, everything=True)


def finish(engine: Engine, erasure_id: str, certificate: str, finished_at: datetime | None) -> None:
    """Keep the certificate of an erasure; with `finished_at` nothing of it waits any more.

    Raises:
        StoreError: no such erasure is on record.
    """
    values = {"certificate": certificate, "finished_at": None if finished_at is None else to_us(finished_at)}
    with writing(engine) as connection:
        if connection.execute(sa.select(erasures.c.subject).where(erasures.c.erasure_id == erasure_id)).first() is None:
            raise StoreError("erasure is unknown", where="store erasures", expected="an id from begin", found=erasure_id)
        connection.execute(sa.update(erasures).where(erasures.c.erasure_id == erasure_id).values(**values))


def list_all(engine: Engine) -> list[Erasure]:
    """All erasures on record, oldest first."""
    with reading(engine) as connection:
        rows = connection.execute(sa.select(erasures).order_by(erasures.c.requested_at, erasures.c.erasure_id)).all()
    return [_record(row) for row in rows]


def count(engine: Engine) -> int:
    """How many have been asked for, ever."""
    with reading(engine) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(erasures)).scalar_one()


def unfinished(engine: Engine) -> list[Erasure]:
    """Erasures that some place still waits for, oldest first."""
    with reading(engine) as connection:
        rows = connection.execute(sa.select(erasures).where(erasures.c.finished_at.is_(None)).order_by(erasures.c.requested_at)).all()
    return [_record(row) for row in rows]


def subjects(engine: Engine) -> dict[str, int]:
    """Every erased subject, and the latest moment (microseconds) until which what they did is erased."""
    query = sa.select(erasures.c.subject, sa.func.max(erasures.c.requested_at)).group_by(erasures.c.subject)
    with reading(engine) as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query)}


def remember(engine: Engine, records: Iterable[Erasure]) -> int:
    """Put erasures on record that this store does not know, such as those made after the backup it was restored from. Returns how many."""
    names = ["erasure_id", "subject", "requested_at", "finished_at", "certificate"]
    with writing(engine) as connection:
        known = set(connection.execute(sa.select(erasures.c.erasure_id)).scalars())
        rows = [
            (one.erasure_id, one.subject, to_us(one.requested_at), None if one.finished_at is None else to_us(one.finished_at), one.certificate)
            for one in records
            if one.erasure_id not in known
        ]
        if rows:
            insert_new(connection, erasures, names, rows)
    return len(rows)


def apply_erasures(engine: Engine) -> dict[str, int]:
    """Take every erased subject out of this store again, as far as rows from before their erasure are in it: after a restore.

    Returns:
        How many rows went, by table.
    """
    erased, total = subjects(engine), Counter[str]()
    if not erased:
        return dict(total)
    for user_id in _users(engine):
        if (at_us := erased.get(subject_of(user_id))) is not None:
            total.update(sweep(engine, user_id, from_us(at_us)))
    return dict(total)


def sweep(engine: Engine, user_id: str, until: datetime) -> dict[str, int]:
    """Delete what this user did at or before `until`: what was being written while `begin` committed. Returns how many rows went, by table."""
    if not any(left_in(engine, user_id, until).values()):
        return {}
    with _shredding(engine) as connection:
        return _delete(connection, user_id, to_us(until), everything=False)


def sweep_subject(engine: Engine, subject: str, until: datetime) -> dict[str, int]:
    """`sweep` for somebody of whom only the digest is known."""
    total = Counter[str]()
    for user_id in _users(engine):
        if subject_of(user_id) == subject:
            total.update(sweep(engine, user_id, until))
    return dict(total)


def left_in(engine: Engine, user_id: str, until: datetime) -> dict[str, int]:
    """How many rows from at or before `until` the store still has of one user, by table."""
    with reading(engine) as connection:
        return {
            table.name.removeprefix("footfall_"): connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
            for table, where in _rows_of(connection, user_id, to_us(until), everything=False)
        }


def left(engine: Engine, subject: str, until: datetime) -> dict[str, int]:
    """`left_in` for somebody of whom only the digest is known."""
    total = Counter[str]()
    for user_id in _users(engine):
        if subject_of(user_id) == subject:
            total.update(left_in(engine, user_id, until))
    return dict(total)


def first_events(engine: Engine, user_ids: Sequence[str]) -> dict[str, int]:
    """The moment (microseconds) of the oldest event of each of these users that has one: of an erased user, who has come back."""
    query = sa.select(events.c.user_id, sa.func.min(events.c.occurred_at)).group_by(events.c.user_id)
    found: dict[str, int] = {}
    with reading(engine) as connection:
        for start in range(0, len(user_ids), _CHUNK):
            rows = connection.execute(query.where(events.c.user_id.in_(list(user_ids[start : start + _CHUNK]))))
            found |= {row[0]: int(row[1]) for row in rows}
    return found


def erased_until(connection: Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """Of these users the erased ones, with the moment (microseconds) until which; one quick question while nobody has been erased."""
    if connection.exec_driver_sql(_ANYBODY).first() is None:
        return {}
    asked = {subject_of(user_id): user_id for user_id in set(user_ids)}
    query = sa.select(erasures.c.subject, sa.func.max(erasures.c.requested_at)).group_by(erasures.c.subject)
    names = list(asked)
    found: dict[str, int] = {}
    for start in range(0, len(names), _CHUNK):
        rows = connection.execute(query.where(erasures.c.subject.in_(names[start : start + _CHUNK])))
        found |= {asked[row[0]]: int(row[1]) for row in rows}
    return found


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


def _delete(connection: Connection, user_id: str, until_us: int, *, everything: bool) -> dict[str, int]:
    gone = {}
    for subject in _TOLD:  # before any row: whoever writes about them must not wait for us while we wait for them
        take_turn(connection, subject)
    for table, where in _rows_of(connection, user_id, until_us, everything=everything):
        gone[table.name.removeprefix("footfall_")] = connection.execute(sa.delete(table).where(*where)).rowcount
    for subject in filter(gone.get, _TOLD):
        renew(connection, subject)
    return gone


def _users(engine: Engine) -> Iterator[str]:
    """Everybody of whom the store has a row."""
    known: set[str] = set()
    with reading(engine) as connection:
        for column in (events.c.user_id, exposures.c.user_id, consents.c.user_id, users.c.user_id, relations.c.user_id, relations.c.other_user_id):
            known.update(name for name in connection.execute(sa.select(column).distinct()).scalars() if name is not None)
    yield from sorted(known)


@contextmanager
def _shredding(engine: Engine) -> Iterator[Connection]:
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


def _record(row: Any) -> Erasure:
    finished = None if row.finished_at is None else from_us(int(row.finished_at))
    return Erasure(row.erasure_id, row.subject, from_us(int(row.requested_at)).astimezone(UTC), finished, row.certificate)
