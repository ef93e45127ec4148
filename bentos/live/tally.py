"""How many exposures a process owes the store, in a file that outlives it: after a kill, the next start says how many are missing.

The number is written over in place: what a process has written belongs to the kernel, so a kill takes nothing of it, and a full disk has
nothing to refuse. Each process holds a lock on its own file, which ends with it; a file without a holder is what a killed process left behind.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import uuid
from pathlib import Path

_NUMBER = struct.Struct("<q")
_SUFFIX = ".owed"


class Tally:
    """Exposures that were promised and are not in the store yet; safe to share between threads.

    Args:
        folder: of all processes of this machine that serve from one root.

    Raises:
        OSError: nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        """Owe nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._owed = 0
        self._turn = threading.Lock()
        self.add(0)

    def add(self, exposures: int) -> None:
        """So many more are owed; or fewer, once they are stored or counted as lost."""
        with self._turn:
            self._owed += exposures
            os.pwrite(self._file, _NUMBER.pack(self._owed), 0)

    def close(self) -> None:
        """Nothing is owed any more that has not been counted."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def left_behind(folder: Path) -> int:
    """Exposures that killed processes owed; each is told once. One that was stored in the very moment of the kill is among them."""
    owed = 0
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its process lives
            raw = file.read(_NUMBER.size)
            if len(raw) == _NUMBER.size and path.exists():
                owed += int(_NUMBER.unpack(raw)[0])
            path.unlink(missing_ok=True)
    return owed
