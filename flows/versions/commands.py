"""git and DVC as subprocesses of one folder, free of the user's hooks, prompts and shell variables."""

from __future__ import annotations

import collections
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.environment import process_environment
from footfall.errors import BusyError, DiskError, WorkspaceError
from footfall.tables import MAKE_ROOM

_DVC_BUSY = ("is busy, it is being blocked by", "Unable to acquire lock")
"""What DVC says when another of its processes works in the folder; its exit status, 255, is the same for a failed stage."""
_FULL = ("No space left on device", "Disk quota exceeded", "disk is full")
_ASK_EVERY_S = 1.0
_HARDLY_ANY = 2**20
"""Bytes; on a disk with less, a failed command failed for want of room."""
_GUARD = Path(__file__).with_name("guard.py")


def git(root: Path, *arguments: str, check: bool = True) -> str:
    """Run one git command in `root` and return its output without the last newline.

    Raises:
        WorkspaceError: git is missing, or it failed and `check` holds.
    """
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *arguments]
    environment = process_environment(root) | {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
    try:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise WorkspaceError("git is not installed", expected="git on PATH", next_step="install git") from error
    if check and done.returncode != 0:
        _raise_when_full(f"git {arguments[0]}", root, done.stderr.splitlines())
        raise WorkspaceError(
            f"git {arguments[0]} failed", where=root, found=(done.stderr or done.stdout)[-500:].strip(), next_step=f"cd {root} && git status"
        )
    return done.stdout.rstrip("\n")


def dvc(
    root: Path,
    *arguments: str,
    on_line: Callable[[str], None] | None = None,
    keep_open: Sequence[int] = (),
    stop: Callable[[], bool] | None = None,
) -> list[str]:
    """Run one DVC command in `root`, handing on each line as it comes; return the last lines.

    The command runs below a guard that ends it, with all it started, when this process dies; `keep_open` are file descriptors that the
    guard inherits, so that a lease outlives a killed flow until DVC's processes are gone. `stop` is asked each second; once it says yes,
    the command is ended, and so fails.

    Raises:
        BusyError: another DVC process works in the same folder.
        DiskError: the disk is full.
        WorkspaceError: DVC failed; the last lines are in `found`.
    """
    environment = process_environment(root)
    del environment["PYTHONPATH"]  # stage commands set their own
    command = [sys.executable, "-I", str(_GUARD), sys.executable, "-m", "dvc", *arguments]
    last: collections.deque[str] = collections.deque(maxlen=30)
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=tuple(keep_open),
    ) as process:
        if stop is not None:
            threading.Thread(target=_end_when, args=(process, stop), daemon=True).start()
        for line in process.stdout or ():
            if line := line.strip():
                last.append(line)
                if on_line:
                    on_line(line)
    if process.returncode == 0:
        return list(last)
    name = f"dvc {arguments[0]}"
    if any(sign in line for line in last for sign in _DVC_BUSY):
        raise BusyError(f"{name} found another DVC process at work", where=root, found=last[-1], next_step="wait for it to end, then run again")
    _raise_when_full(name, root, last)
    raise WorkspaceError(f"{name} failed", where=root, expected="exit status 0", found="\n".join([f"exit status {process.returncode}", *last]))


def _end_when(process: subprocess.Popen[str], stop: Callable[[], bool]) -> None:
    while process.poll() is None:
        if stop():
            process.terminate()  # the guard ends all that the command started
            return
        time.sleep(_ASK_EVERY_S)


def _raise_when_full(name: str, root: Path, lines: Sequence[str]) -> None:
    """Say so when a full disk is why a command failed: by its own words, or by looking, because DVC's database only says "disk I/O error"."""
    signs = [line for line in lines if any(sign in line for sign in _FULL)]
    if not signs and shutil.disk_usage(root).free >= _HARDLY_ANY:
        return
    found = "\n".join(signs[:1] or lines)
    raise DiskError(f"the disk is full: {name} stopped", where=root, expected="room for what it writes", found=found, next_step=MAKE_ROOM)
