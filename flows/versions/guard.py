"""Run a command that ends when the process that asked for it does, with everything it started.

`python guard.py COMMAND...`: the asker holds the other end of standard input and writes nothing to it. When the asker dies, however it dies,
the kernel closes that end; the guard then ends the command's whole process group. So a killed flow leaves no trainer behind that would still
write into the workspace. Standard library only; imports nothing of Footfall.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

GRACE_S = 5.0
"""Seconds between asking a process group to end and insisting."""


def main(command: Sequence[str]) -> int:
    """Run `command` in a process group of its own and return its exit status (128 + N when signal N ended it)."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _end(child))
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _watch(child: subprocess.Popen[bytes]) -> None:
    """Wait until the asker is gone, then end the child and this process."""
    while os.read(0, 4096):
        pass
    _end(child)
    os._exit(128 + signal.SIGTERM)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's process group to end; insist after a few seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and _lives(child.pid):
            child.poll()
            time.sleep(0.05)


def _lives(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
