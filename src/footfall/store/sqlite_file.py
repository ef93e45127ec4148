"""The SQLite store as a file: made whole, looked at before it is believed, checked, set aside when it is damaged.

SQLite believes what it reads: it keeps no checksums, and takes an empty file for a new database. What is looked at here, and when:

    every open           the header, the size that the header states, and that a file with pages has a schema
    `verify`             every page, every row against every index: what a history is read from is stored twice, and both must agree
    while it is used     what SQLite notices by itself

A damaged log (`store.db-wal`) is the exception: SQLite takes its first wrong frame for the end of what was written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

from footfall.errors import StoreDamageError, StoreError
from footfall.tables import MAKE_ROOM, sync_folder

MEND: Final = "footfall restore BACKUP --replace, or footfall restore --from-raw --replace"
FileId = tuple[int, int]
"""Device and inode."""

_MAGIC, _HEADER = b"SQLite format 3\0", 100
_BESIDE = ("", "-wal", "-shm")
FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100", 1021)
"""What SQLite, PostgreSQL and MariaDB call a full disk; the second is the index of SQLite's log, which could not grow."""
_FAULTS = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_PAGES_OF_NOTHING = 2
"""What a new file has: its first page, and the one that lets it shrink."""


def prepare(path: Path) -> None:
    """Make the file if there is none, else look at it.

    Raises:
        StoreError: it cannot be made.
        StoreDamageError: what is there is no whole SQLite file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        with path.open("rb") as file:
            header, size = file.read(_HEADER), path.stat().st_size
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or getattr(error, "sqlite_errorname", None) in FULL:
            raise full(path, type(error).__name__) from error
        raise StoreError("live store cannot be made", where=path, found=type(error).__name__, next_step="check its rights") from error
    _check_header(path, header, size)


def check_schema(connection: Connection, where: object) -> None:
    """Refuse a file that has pages and no table: its schema was lost, and making a new one would hide that.

    Raises:
        StoreDamageError: it is one.
    """
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    if pages > _PAGES_OF_NOTHING and not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        raise damaged(where, f"{pages} pages and no table")


def verify(path: Path, seconds: float | None = None) -> bool:
    """Hold every page, and every row against every index.

    Args:
        path: the store's file; others may be using it.
        seconds: stop after so long; None goes on to the end.

    Returns:
        Whether all was checked in time.

    Raises:
        StoreDamageError: something does not fit; what, is said without any value.
    """
    late, began = threading.Event(), time.monotonic()
    source = f"{path.resolve().as_uri()}?mode=ro"
    connecting = sqlite3.connect(source, uri=True, timeout=20.0, check_same_thread=False)
    with contextlib.closing(connecting) as connection, _after(seconds, late, connection):
        try:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            found = error.sqlite_errorname
    if late.is_set():
        return False  # an interrupted check may also say that pages are missing which it did not reach
    if found != "ok":
        # its own words may quote a row
        raise damaged(path, found if found.startswith("SQLITE_") else "pages, or rows and indexes, do not agree")
    return seconds is None or time.monotonic() - began <= seconds  # a check may end before the timer's thread has begun


@contextlib.contextmanager
def _after(seconds: float | None, late: threading.Event, connection: sqlite3.Connection) -> Iterator[None]:
    """Stop what `connection` does when the time is over, and set `late`."""
    if seconds is None:
        yield
        return

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def set_aside(path: Path) -> Path:
    """Give a damaged file, and what lies beside it, another name. Returns the new one of the file."""
    number = next(number for number in range(1, 10_000) if not path.with_name(f"{path.name}.damaged-{number}").exists())
    aside = path.with_name(f"{path.name}.damaged-{number}")
    for end in reversed(_BESIDE):  # the file itself last: a kill in between leaves a damaged store, never a new one
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    sync_folder(path.parent)
    return aside


def file_id(path: Path) -> FileId | None:
    """What tells the file that is there from another one of the same name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def full(where: object, found: object) -> StoreError:
    """The error of a store that has no room to write."""
    return StoreError("the disk of the live store is full", where=where, expected="room for it to write", found=found, next_step=MAKE_ROOM)


def is_damage(error: BaseException | None) -> bool:
    """Whether the driver says that the file is damaged."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(_FAULTS)


def damaged(where: object, found: object) -> StoreDamageError:
    """The error of a damaged file, with what mends it."""
    return StoreDamageError("the live store's file is damaged", where=where, expected="a whole SQLite file", found=found, next_step=MEND)


def _make(path: Path) -> None:
    """Under another name first: a file under its own name has a header from the start, so that an empty one is always a lost one."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o600))  # what people did is nobody else's to read
    try:
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            # can be chosen only now: what retention drops goes back to the disk
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL").close()
            connection.execute("PRAGMA journal_mode=WAL").close()
        with contextlib.suppress(FileExistsError):  # another process was quicker
            path.hardlink_to(new)
    finally:
        for end in _BESIDE:
            new.with_name(new.name + end).unlink(missing_ok=True)
    sync_folder(path.parent)


def _check_header(path: Path, header: bytes, size: int) -> None:
    if size == 0:
        raise damaged(path, "an empty file; delete it, should it be no loss")
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise damaged(path, "another beginning than SQLite's")
    page_size = int.from_bytes(header[16:18]) or 1
    pages, stated = int.from_bytes(header[28:32]), header[24:28] == header[92:96]
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        return  # the newest pages may be there alone
    expected = pages * (65536 if page_size == 1 else page_size)
    if stated and size < expected:
        raise damaged(path, f"{size:,} of {expected:,} bytes")
