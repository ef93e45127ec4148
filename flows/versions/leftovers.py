"""What killed git and DVC processes leave behind in a workspace: lock files that nobody holds any more, and half-made changes.

git makes a lock file and renames it; DVC notes in `.dvc/tmp/rwlock` which process reads and writes what. Killed in between, both stop every
later run until somebody removes a file by hand. Whoever holds the retrain lease knows better: with no such process alive, nobody holds the lock.
"""

from __future__ import annotations

import json
from pathlib import Path

import psutil


def sweep(root: Path) -> list[Path]:
    """Remove the lock files that dead processes left, and return them. Call it holding the retrain lease."""
    left = stale_locks(root)
    for path in left:
        path.unlink(missing_ok=True)
    return left


def stale_locks(root: Path) -> list[Path]:
    """Lock files that nobody holds; somebody else's git or DVC at work in the workspace, such as a `git pull`, keeps its own."""
    left = []
    if not at_work(root, "git"):
        left += [path for path in (root / ".git").rglob("*.lock") if path.is_file()]
    if not at_work(root, "dvc"):
        left += [path for path in [root / ".dvc" / "tmp" / "rwlock"] if path.exists() and _notes_something(path)]
    return left


def at_work(root: Path, program: str) -> bool:
    """Whether a process of `program` ("git" or "dvc") runs in the workspace."""
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(root.resolve()) and _is(process.cmdline(), program):
                return True
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # gone meanwhile, or another user's: then it does not work here
    return False


def _notes_something(rwlock: Path) -> bool:
    """Whether DVC's note names a process, or cannot be read, which would stop DVC as well."""
    try:
        note = json.loads(rwlock.read_text(encoding="utf-8"))
        return any(note.values())
    except (ValueError, AttributeError):
        return True


def _is(command: list[str], program: str) -> bool:
    """Whether a command line runs `program`, directly or as `python -m PROGRAM`."""
    return any(Path(word).name == program for word in command[:4])
