"""Fixtures: an empty live store on SQLite, PostgreSQL and MariaDB. A server that does not answer is skipped on a desk, and a failure in CI."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from footfall.store import Engine, open_store
from footfall.store.tables import metadata
from tests.wire import Wire

SERVERS = {
    "postgresql": os.environ.get("TEST_POSTGRESQL_URL", "postgresql+psycopg://root@127.0.0.1:5432/test"),
    "mariadb": os.environ.get("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}


def _own_database(kind: str) -> Iterator[str]:
    """A database of this test run's own on a server, dropped at the end."""
    admin = sa.create_engine(SERVERS[kind], isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    name = f"footfall_test_{uuid.uuid4().hex[:12]}"
    try:
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    except sa.exc.OperationalError:
        admin.dispose()
        if os.environ.get("CI"):
            pytest.fail(f"{kind} does not answer")
        pytest.skip(f"{kind} does not answer")
    yield sa.make_url(SERVERS[kind]).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
    admin.dispose()


def _emptied(url: str) -> str:
    engine = open_store(url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    yield from _own_database("postgresql")


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    yield from _own_database("mariadb")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return _emptied(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["postgresql", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    """A store with nothing in it, on a server."""
    return _emptied(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def wire(server_url: str) -> Iterator[Wire]:
    """A network that can be cut before that server."""
    parsed = sa.make_url(server_url)
    wire = Wire(str(parsed.host), int(parsed.port or 0))
    yield wire
    wire.close()


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    """The empty store, open."""
    opened = open_store(store_url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite store, for what needs no other database."""
    opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.dispose()
