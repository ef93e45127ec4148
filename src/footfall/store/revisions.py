"""A number for each thing the shop tells, another one after every change: whoever keeps a copy asks for it and reads again only when it differs.

It is drawn, not counted, so that a store which was restored to an earlier moment never gives a later moment's number to other rows.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from footfall.store.engine import reading
from footfall.store.rows import insert_new
from footfall.store.tables import revisions


def current(engine: Engine, subject: str) -> int:
    """The number of the last change of `subject`; 0 until the first. One row by its key: cheap enough for every second."""
    with reading(engine) as connection:
        return int(connection.execute(sa.select(revisions.c.revision).where(revisions.c.subject == subject)).scalar() or 0)


def take_turn(connection: Connection, subject: str) -> None:
    """Wait until no other transaction writes about `subject`: one after the other, so that the last write wins whole, and no two wait in a circle."""
    insert_new(connection, revisions, ["subject", "revision"], [(subject, 0)])
    if connection.dialect.name != "sqlite":  # a writer of SQLite is alone
        connection.execute(sa.select(revisions.c.revision).where(revisions.c.subject == subject).with_for_update())


def renew(connection: Connection, subject: str) -> None:
    """Say that `subject` has changed; the caller has taken its turn."""
    connection.execute(sa.update(revisions).where(revisions.c.subject == subject).values(revision=1 + secrets.randbits(62)))
