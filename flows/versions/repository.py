"""What a retrain does to its workspace's git and DVC: add, date, reproduce, commit, tag, push, or undo all of it.

A flow asks DVC for everything that `dvc.yaml` describes and never lists stages. Every function can be run again after a kill at any moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from flows.versions import leftovers
from flows.versions.commands import dvc, git
from flows.versions.workspace import BRANCH
from footfall.errors import HoldError, ParamsError, WorkspaceError
from footfall.params import load_params
from footfall.paths import Paths
from footfall.tables import write_text

_AS_OF = re.compile(r"""^(?P<key>[ \t]+as_of:[ \t]*)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s#]+)""", re.MULTILINE)
_COMMITTED = ("params.yaml", "dvc.lock", "data/raw.dvc", "reports")


def require_workspace(root: Path) -> None:
    """Raise `WorkspaceError` unless `root` is a workspace: nothing here ever commits in a person's checkout."""
    branch = git(root, "symbolic-ref", "--quiet", "--short", "HEAD", check=False)
    if branch != BRANCH or not (root / ".git").is_dir():
        where = f"branch {branch}" if branch else "no branch"
        raise WorkspaceError(
            "unattended runs happen in a workspace only",
            where=root,
            expected=f"branch {BRANCH}",
            found=where,
            next_step="footfall init DIR, then run there",
        )


def dvc_add_raw(root: Path) -> None:
    """Put the accepted batches under DVC: `data/raw.dvc` then names their digest."""
    raw = Paths(root).raw
    if not raw.is_dir():
        raise WorkspaceError("no batch has been accepted yet", where=raw, expected="raw batches that the gate passed", next_step="footfall ingest")
    dvc(root, "add", str(raw.relative_to(root)))


def set_as_of(root: Path, as_of: datetime) -> None:
    """Write `data.as_of` into params.yaml: that one value, every other character stays.

    Raises:
        ParamsError: there is not exactly one `as_of`.
    """
    path = Paths(root).params
    text = path.read_text(encoding="utf-8")
    found = _AS_OF.findall(text)
    if len(found) != 1:
        raise ParamsError("cannot date the parameters", where=path, expected="one line 'as_of:' below 'data:'", found=f"{len(found)} such lines")
    dated = _AS_OF.sub(lambda match: f'{match["key"]}"{as_of.astimezone(UTC).isoformat()}"', text)
    if dated != text:
        write_text(path, dated)
    if load_params(path).data.as_of != as_of:
        raise ParamsError("cannot date the parameters", where=path, expected=as_of.isoformat(), found=load_params(path).data.as_of.isoformat())


def repro(root: Path, *, on_line: Callable[[str], None] | None = None, keep_open: Sequence[int] = (), stop: Callable[[], bool] | None = None) -> None:
    """Bring everything that `dvc.yaml` describes up to date, as one subprocess, which is ended when `stop` says so.

    Raises:
        BusyError: another DVC process works in this workspace.
        HoldError: the canonical tables were held by the gate.
        WorkspaceError: a stage failed.
    """
    report = Paths(root).validation_report
    before = report.stat().st_mtime_ns if report.exists() else None
    try:
        dvc(root, "repro", on_line=on_line, keep_open=keep_open, stop=stop)
    except WorkspaceError as error:
        if report.exists() and report.stat().st_mtime_ns != before:
            for table in json.loads(report.read_text(encoding="utf-8"))["tables"].values():
                if table["outcome"] != "pass":
                    failed = ", ".join(str(check["rule"]) for check in table["checks"] if not check["ok"])
                    raise HoldError(
                        "the canonical tables were held", where=report, expected="verdict pass", found=failed, next_step=table["next_step"]
                    ) from error
        raise


def commit_candidate(root: Path, message: str) -> str:
    """Commit what a retrain made (parameters, `dvc.lock`, the batches' digest, reports); return the commit, old when nothing changed.

    Call it holding the retrain lease: a lock of git's that a kill left is removed.
    """
    leftovers.sweep(root)
    git(root, "add", "--", *(name for name in _COMMITTED if (root / name).exists()))
    if git(root, "diff", "--cached", "--name-only"):
        git(root, "commit", "--quiet", "--no-verify", "-m", message)
    return revision(root)


def revision(root: Path) -> str:
    """The commit at HEAD."""
    return git(root, "rev-parse", "HEAD")


def tag(root: Path, name: str) -> None:
    """Tag HEAD; a tag that stands stays where it is."""
    if not git(root, "tag", "--list", name):
        git(root, "tag", name)


def push(root: Path) -> list[str]:
    """Push data to DVC's remote, then branch and tags to every git remote that somebody has set; return their names.

    Data goes first, so that whoever sees a commit elsewhere finds its data there. The checkout is never among the remotes.
    A push that failed or was killed is owed: the next one brings the data of all tags.

    Raises:
        WorkspaceError: a remote cannot be reached or refuses.
        DiskError: the remote's disk is full.
    """
    pushed, owed = [], Paths(root).push_owed
    if dvc(root, "remote", "list"):
        earlier = ["--all-tags"] if owed.exists() else []
        owed.parent.mkdir(parents=True, exist_ok=True)
        owed.touch()
        dvc(root, "push", *earlier)
        pushed.append("dvc")
    for remote in git(root, "remote").split():
        if not git(root, "remote", "get-url", "--push", remote).startswith("no-push:"):
            git(root, "push", "--quiet", "--follow-tags", remote, "HEAD")
            git(root, "push", "--quiet", "--tags", remote)
            pushed.append(remote)
    owed.unlink(missing_ok=True)
    return pushed


def is_clean(root: Path) -> bool:
    """Whether the files that a retrain writes are as committed."""
    return not git(root, "status", "--porcelain", "--untracked-files=all", "--", *_COMMITTED)


def tidy(root: Path) -> bool:
    """Put right what a killed run left: stale locks, and changes that were never committed. Call it holding the retrain lease.

    Returns whether there was anything.
    """
    stale = leftovers.sweep(root)
    clean = is_clean(root)
    if not clean:
        undo(root)
    return bool(stale) or not clean


def undo(root: Path) -> None:
    """Put the workspace back to its last commit: `git checkout` and `dvc checkout`.

    Accepted batches stay in `data/raw`: they are facts of the world, not of the failed run, and the next retrain adds them again.
    """
    tracked = [name for name in _COMMITTED if git(root, "ls-files", "--", name)]
    git(root, "reset", "--quiet")
    if tracked:
        git(root, "checkout", "--quiet", "HEAD", "--", *tracked)
    git(root, "clean", "--quiet", "-fd", "--", *_COMMITTED)
    if (root / "dvc.lock").exists():
        # outputs that an erasure has dropped from the cache stay away: the next run makes them anew
        dvc(root, "checkout", "--force", "--allow-missing", "dvc.yaml")
