"""One retrain (and one ingest) at a time in a workspace: a lock file that the kernel frees when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from footfall.errors import BusyError
from footfall.tables import plain_when_full

_held: ContextVar[dict[Path, int]] = ContextVar("footfall_leases", default={})  # noqa: B039 (never changed in place)


@contextlib.contextmanager
def lease(path: Path, purpose: str, *, wait_s: float = 0.0) -> Iterator[int]:
    """Hold the lease at `path` for the length of a `with` block; yields its file descriptor.

    The lock belongs to the open file: a child that inherits the descriptor holds the lease on until it ends too.
    A subflow that asks for what its parent holds gets it.

    Args:
        path: the lock file.
        purpose: what it is held for, for those who find it taken.
        wait_s: how long to wait for whoever holds it.

    Raises:
        BusyError: somebody else holds it; says who and since when.
    """
    mine = _held.get().get(path)
    if mine is not None:
        yield mine
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    token = _held.set(_held.get() | {path: handle})
    try:
        if not _lock(handle, wait_s):
            found = json.dumps(read_lease(path))
            raise BusyError(
                "somebody else holds the lease", where=path, expected="a free lease", found=found, next_step="wait for it to end: footfall status"
            )
        os.ftruncate(handle, 0)
        with plain_when_full(path):
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "purpose": purpose, "since": datetime.now(UTC).isoformat()}).encode(), 0)
        yield handle
        os.ftruncate(handle, 0)
    finally:
        _held.reset(token)
        os.close(handle)


def _lock(handle: int, wait_s: float) -> bool:
    """Take the lock; tries for a moment at least, because `lease_is_held` holds a shared one for an instant."""
    deadline = time.monotonic() + max(wait_s, 0.1)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(min(0.02 + wait_s / 100, 1.0))
        else:
            return True


def read_lease(path: Path) -> dict[str, Any] | None:
    """Who holds the lease: `pid`, `purpose`, `since`; None when nobody has said so. A note only: the lock is what counts."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def lease_is_held(path: Path) -> bool:
    """Whether somebody holds the lease at this moment."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
