"""Bringing a database to the newest schema by Alembic, safely when several processes open it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError

from footfall.errors import StoreError
from footfall.store.sqlite_file import check_schema, is_damage
from footfall.store.tables import SCHEMA_REVISION, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_NUMBER = 0x666F6F74  # "foot"


def migrate(engine: Engine) -> None:
    """Upgrade to `SCHEMA_REVISION`; nothing is done, and Alembic not even imported, when the schema is there already.

    Raises:
        StoreError: the database has a revision that this code does not know: it was written by a newer Footfall.
    """
    if current_revision(engine) == SCHEMA_REVISION:
        return
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            check_schema(connection, engine.url.database)
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _alone(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            found = current_revision(engine)
            raise StoreError("store has another schema", expected=SCHEMA_REVISION, found=found, next_step="update Footfall") from error


def current_revision(engine: Engine) -> str | None:
    """The schema revision that the database says it has; None when it has no schema yet."""
    query = sa.select(sa.column("version_num", sa.String)).select_from(sa.table(VERSION_TABLE))
    try:
        with engine.connect() as connection:
            revision: str | None = connection.execute(query).scalar()
            return revision
    except DatabaseError as error:
        if is_damage(error.orig):
            raise
        # no such table; should the database not answer at all, the upgrade that follows says so
        return None


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """One process at a time upgrades: by the write lock in SQLite, by an advisory lock elsewhere."""
    with engine.execution_options(footfall_write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_NUMBER)))
        elif engine.dialect.name in ("mysql", "mariadb"):
            connection.execute(sa.select(sa.func.get_lock(VERSION_TABLE, 60)))
        yield connection
        if engine.dialect.name in ("mysql", "mariadb"):
            connection.execute(sa.select(sa.func.release_lock(VERSION_TABLE)))
