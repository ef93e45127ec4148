"""Opening the store, and the two ways to use it: `reading` and `writing`, which turn driver errors into `StoreError`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from footfall.errors import StoreError
from footfall.store.schema import migrate
from footfall.store.sessions import connect_arguments, prepare_session
from footfall.store.sqlite_file import FULL, MEND, FileId, damaged, file_id, full, is_damage, prepare, verify

_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_WRITE, _FILE = "footfall_write", "footfall_file"
_SMALL_CACHE, _LARGE_CACHE = "PRAGMA cache_size=-4096", "PRAGMA cache_size=-131072"
_PRAGMAS = (
    "PRAGMA busy_timeout=20000",  # first: the next one may have to wait for another process that opens the same file
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an acknowledged event survives a power cut: fsync of the log at every commit
    _SMALL_CACHE,  # a connection; the operating system caches the file once for all of them
    "PRAGMA temp_store=MEMORY",
    "PRAGMA foreign_keys=ON",
)


def open_store(url: str, *, verify_s: float = 0.0) -> Engine:
    """Connect to the store at `url` and bring its schema to the newest revision.

    Args:
        url: an SQLAlchemy URL: `sqlite:///path`, `postgresql://...`, `mysql://...` or `mariadb://...`.
        verify_s: how long an SQLite file may be held against itself first; servers look after their own.

    Raises:
        StoreError: the URL is unusable, or nothing answers there.
        StoreDamageError: the SQLite file there is damaged.
    """
    parsed = _parse(url)
    if verify_s and (path := sqlite_path(url)) is not None and path.exists():
        verify(path, verify_s)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _server(parsed)
    try:
        with _translated(engine):
            migrate(engine)
    except StoreError:
        engine.dispose()
        raise
    return engine


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite store; None for a server.

    Raises:
        StoreError: the URL is unusable.
    """
    parsed = _parse(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for queries.

    Raises:
        StoreError: the store cannot be reached, or refuses.
    """
    with _translated(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # at READ COMMITTED a query sees the same without a transaction around it, and two waits for the server fewer
            connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one moment of the whole store, however long it reads; others may write meanwhile.

    Raises:
        StoreError: the store cannot be reached, or refuses.
    """
    with _translated(engine), engine.connect() as connection:
        if engine.dialect.name != "sqlite":  # its read transactions are that by themselves
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine, *, bulk: bool = False) -> Iterator[Connection]:
    """A connection in one transaction: committed, and durable, when the block ends; undone when it raises.

    Writers of one process queue up on a lock: SQLite has one writer at a time, and its own waiting sleeps in growing steps.

    Args:
        engine: the store.
        bulk: many rows are coming: SQLite keeps its indexes in memory meanwhile.

    Raises:
        StoreError: the store cannot be reached, or refuses; or its file is no longer the one that was written to.
    """
    with _translated(engine), _write_lock(engine):
        with engine.execution_options(**{_WRITE: True}).begin() as connection:
            opened: FileId | None = connection.info.get(_FILE)
            with _large_cache(connection) if bulk and opened is not None else nullcontext():
                yield connection
        if opened is not None:
            _check_file(engine, opened)


@contextmanager
def _large_cache(connection: Connection) -> Iterator[None]:
    connection.exec_driver_sql(_LARGE_CACHE)
    try:
        yield
    finally:
        connection.exec_driver_sql(_SMALL_CACHE)


def _check_file(engine: Engine, opened: FileId) -> None:
    """Whoever deletes or replaces a file that is open takes along what is written to it afterwards: that must not be acknowledged."""
    now = file_id(Path(str(engine.url.database)))
    if now == opened:
        return
    if now is not None:
        engine.dispose()  # the next connection opens the file that is there now
    raise StoreError(
        "the live store's file was replaced or removed while it was open",
        where=where(engine),
        expected="the file that was opened",
        found="no file" if now is None else "another file",
        next_step="write it again",
    )


def where(engine: Engine) -> str:
    """The store's address without its password."""
    return engine.url.render_as_string(hide_password=True)


_locks: dict[str, threading.Lock] = {}
_locks_guard = threading.Lock()


@contextmanager
def _write_lock(engine: Engine) -> Iterator[None]:
    if engine.dialect.name != "sqlite":
        yield
        return
    with _locks_guard:
        lock = _locks.setdefault(str(engine.url), threading.Lock())
    with lock:
        yield


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if is_damage(error.orig):
            raise damaged(where(engine), getattr(error.orig, "sqlite_errorname", None)) from error
        # the driver's own words may quote a row, and so a user's words: only its class and error code leave the store
        code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or _first_number(error.orig)
        found = type(error.orig).__name__ + (f" {code}" if code else "")
        if code in FULL:
            raise full(where(engine), found) from error
        raise StoreError("live store cannot be reached or refused", where=where(engine), found=found, next_step="footfall doctor") from error
    except (SQLAlchemyError, PoolTimeoutError) as error:
        raise StoreError("live store cannot be used", where=where(engine), found=type(error).__name__, next_step="footfall doctor") from error


def _first_number(error: BaseException | None) -> int | None:
    arguments = () if error is None else error.args
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        parsed.get_dialect().import_dbapi()
    except ImportError as error:
        extra = "postgresql" if "psycopg" in str(error) else "mysql"
        raise StoreError(
            "driver of the store is not installed", where="FOOTFALL_STORE", found=str(error), next_step=f"pip install 'footfall[{extra}]'"
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        hint = "export FOOTFALL_STORE=sqlite:////path/to/store.db"
        raise StoreError("unusable store URL", where="FOOTFALL_STORE", found=type(error).__name__, next_step=hint) from error
    return parsed


def _sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise StoreError("live store needs a file", where="FOOTFALL_STORE", expected="sqlite:///path", found="memory", next_step="name a file")
    path = Path(str(url.database))
    prepare(path)
    engine = sa.create_engine(url, connect_args={"timeout": 20.0, "check_same_thread": False}, pool_size=8, max_overflow=8, pool_timeout=10)

    @event.listens_for(engine, "do_connect")
    def _on_do_connect(*_: object) -> None:
        if file_id(path) is None:  # SQLite would make a new one, and hide that the old one is lost
            raise StoreError("the live store's file is gone", where=path, expected="the file that was opened", found="no file", next_step=MEND)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        record.info[_FILE] = file_id(path)
        connection.isolation_level = None  # the driver must not begin or commit by itself; `_on_begin` does
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # a writer takes the lock at once: upgrading a read transaction later can fail without waiting
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITE) else "BEGIN")

    return engine


def _server(url: URL) -> Engine:
    engine = sa.create_engine(
        url,
        connect_args=connect_arguments(url),
        pool_size=8,
        max_overflow=8,
        pool_timeout=10,
        pool_pre_ping=True,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
    )
    event.listen(engine, "connect", prepare_session)
    return engine
