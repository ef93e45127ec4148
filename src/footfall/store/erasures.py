"""Erasures: a user leaves the store at once, and a record stays that keeps old rows of theirs from coming back.

The record names the user by a digest of the pseudonym. What the user did at or before the moment of the erasure is gone and stays gone,
whatever door it comes by again; what they do afterwards is new business. Raw batches, quarantine and caches are `flows.erasing`'s.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.errors import StoreError
from footfall.store import user_rows
from footfall.store.engine import reading, writing
from footfall.store.moments import from_us, to_us
from footfall.store.rows import insert_new
from footfall.store.tables import erasures, events

_CHUNK = 200
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
    with user_rows.shredding(engine) as connection:
        open_one = connection.execute(sa.select(erasures).where(*mine).order_by(erasures.c.requested_at).limit(1)).first()
        if open_one is None:
            record = Erasure(f"{requested_at:%Y%m%d}-{secrets.token_hex(6)}", subject, requested_at)
            connection.execute(sa.insert(erasures).values(erasure_id=record.erasure_id, subject=subject, requested_at=at_us))
        else:
            at_us = max(at_us, int(open_one.requested_at))
            record = Erasure(open_one.erasure_id, subject, from_us(at_us), None, open_one.certificate)
            connection.execute(sa.update(erasures).where(erasures.c.erasure_id == record.erasure_id).values(requested_at=at_us))
        return record, user_rows.delete(connection, user_id, at_us, everything=True)


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
    for user_id in user_rows.owners(engine):
        if (at_us := erased.get(subject_of(user_id))) is not None:
            total.update(user_rows.sweep(engine, user_id, from_us(at_us)))
    return dict(total)


def sweep_subject(engine: Engine, subject: str, until: datetime) -> dict[str, int]:
    """`user_rows.sweep` for somebody of whom only the digest is known."""
    total = Counter[str]()
    for user_id in user_rows.owners(engine):
        if subject_of(user_id) == subject:
            total.update(user_rows.sweep(engine, user_id, until))
    return dict(total)


def left(engine: Engine, subject: str, until: datetime) -> dict[str, int]:
    """`user_rows.left_in` for somebody of whom only the digest is known."""
    total = Counter[str]()
    for user_id in user_rows.owners(engine):
        if subject_of(user_id) == subject:
            total.update(user_rows.left_in(engine, user_id, until))
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


def _record(row: Any) -> Erasure:
    finished = None if row.finished_at is None else from_us(int(row.finished_at))
    return Erasure(row.erasure_id, row.subject, from_us(int(row.requested_at)).astimezone(UTC), finished, row.certificate)
