"""`footfall init`: a workspace of its own for unattended runs, cloned from a checkout's committed HEAD.

A workspace shares nothing with the checkout but DVC's cache. Nothing here writes into the checkout but that cache;
new code arrives in the workspace by `git pull`, never by itself.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from flows.commands import git
from footfall.errors import WorkspaceError
from footfall.paths import Paths

BRANCH = "production"
CHECKOUT_REMOTE = "checkout"


@dataclass(frozen=True)
class Workspace:
    """A workspace that is ready for unattended runs.

    Attributes:
        root: its folder.
        created: False when it stood already.
        revision: the commit it stands at.
        checkout_revision: the checkout's HEAD; the workspace may be ahead of it by its retrains.
        left_out: files of the checkout whose changes are not committed, so not in the workspace.
    """

    root: Path
    created: bool
    revision: str
    checkout_revision: str
    left_out: list[str]


def init(checkout: Path, workspace: Path, allow_dirty: bool = False) -> Workspace:
    """Clone `checkout`'s committed HEAD to `workspace` on branch `production`, or find it there already.

    Raises:
        WorkspaceError: the checkout is dirty (unless `allow_dirty`) or no git repository; `workspace` holds something else.
    """
    checkout, workspace = checkout.resolve(), workspace.resolve()
    head = _head(checkout)
    dirty = dirty_files(checkout)
    if dirty and not allow_dirty:
        raise WorkspaceError(
            "the checkout has changes that are not committed",
            where=checkout,
            expected="a clean checkout: the workspace takes what is committed",
            found=", ".join(dirty[:20]) + (f" and {len(dirty) - 20} more" if len(dirty) > 20 else ""),
            next_step="git commit or git stash, then run again",
        )
    created = not _stands(workspace)
    if created:
        _clone(checkout, workspace, head)
    _configure(checkout, workspace)
    return Workspace(workspace, created, _head(workspace), head, dirty)


def dirty_files(root: Path) -> list[str]:
    """Files of `root` that differ from its HEAD or that git does not know, ignored ones apart."""
    return [line[3:] for line in git(root, "status", "--porcelain", "--untracked-files=all").splitlines()]


def _head(root: Path) -> str:
    """The commit at HEAD of the repository whose top is `root`."""
    top = git(root, "rev-parse", "--show-toplevel", check=False) if root.is_dir() else ""
    if not top or Path(top).resolve() != root:
        raise WorkspaceError(
            "no git repository",
            where=root,
            expected="the top of a checkout",
            found=top or "no repository",
            next_step="run from the root of a checkout",
        )
    head = git(root, "rev-parse", "--verify", "--quiet", "HEAD", check=False)
    if not head:
        raise WorkspaceError("the repository has no commit yet", where=root, expected="a commit", next_step="git commit")
    return head


def _stands(workspace: Path) -> bool:
    """Whether a whole workspace is there: it only takes its name once it is whole, so any other content is not ours to touch."""
    if not workspace.exists() or not any(workspace.iterdir()):
        return False
    if (workspace / ".git").is_dir() and git(workspace, "rev-parse", "--verify", "--quiet", f"refs/heads/{BRANCH}", check=False):
        return True
    raise WorkspaceError("the folder holds something else", where=workspace, expected="nothing, or a workspace", next_step="name another folder")


def _clone(checkout: Path, workspace: Path, head: str) -> None:
    """Clone under a temporary name and rename at the end; what an interrupted clone left is removed first."""
    half = workspace.with_name(f".{workspace.name}.half-cloned")
    if half.exists():
        shutil.rmtree(half)
    half.parent.mkdir(parents=True, exist_ok=True)
    git(checkout, "clone", "--quiet", "--no-hardlinks", "--no-checkout", "--template=", "--origin", CHECKOUT_REMOTE, str(checkout), str(half))
    git(half, "checkout", "--quiet", "-B", BRANCH, "--no-track", head)
    if workspace.exists():
        workspace.rmdir()  # empty, or `_stands` had refused
    half.rename(workspace)


def _configure(checkout: Path, workspace: Path) -> None:
    """Settings of this clone alone, in files that git does not track."""
    branch = git(checkout, "symbolic-ref", "--quiet", "--short", "HEAD", check=False)
    settings = {
        f"remote.{CHECKOUT_REMOTE}.url": str(checkout),
        f"remote.{CHECKOUT_REMOTE}.pushurl": "no-push:the-checkout-is-never-written",
        "core.hooksPath": "/dev/null",
        "commit.gpgsign": "false",
        "tag.gpgsign": "false",
    }
    if branch:
        settings |= {f"branch.{BRANCH}.remote": CHECKOUT_REMOTE, f"branch.{BRANCH}.merge": f"refs/heads/{branch}", "pull.rebase": "false"}
    for name, value in settings.items():
        git(workspace, "config", "--local", name, value)
    for name, value in {"user.name": "Footfall", "user.email": "footfall@localhost"}.items():
        if not git(workspace, "config", name, check=False):
            git(workspace, "config", "--local", name, value)
    _share_cache(checkout, workspace)


def _share_cache(checkout: Path, workspace: Path) -> None:
    """Point the workspace's DVC at the checkout's cache, in `.dvc/config.local`."""
    local = workspace / ".dvc" / "config.local"
    if not local.parent.is_dir():
        raise WorkspaceError(
            "the checkout's HEAD has no DVC set-up", where=checkout, expected=".dvc/config in git", next_step="git pull, then run again"
        )
    Paths(workspace).prefect_home.mkdir(parents=True, exist_ok=True)  # Prefect makes no parent folders
    text = f"[cache]\n    dir = {Paths(checkout).cache}\n"
    if not local.exists():
        local.write_text(text, encoding="utf-8")
