"""`footfall init`: a workspace of its own for unattended runs, cloned from a checkout's committed HEAD.

A workspace shares nothing with the checkout but DVC's cache. Nothing here writes into the checkout but that cache;
new code arrives in the workspace by `git pull`, never by itself.
"""

from __future__ import annotations

import configparser
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from flows.versions.commands import dvc, git
from footfall.errors import WorkspaceError
from footfall.paths import Paths

BRANCH = "production"
CHECKOUT_REMOTE = "checkout"
REMOTE = "footfall"
"""Name of the DVC remote that `init` sets."""


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


def init(checkout: Path, workspace: Path, allow_dirty: bool = False, remote: str | None = None) -> Workspace:
    """Clone `checkout`'s committed HEAD to `workspace` on branch `production`, or find it there already.

    Args:
        checkout: where the code comes from.
        workspace: the folder to make.
        allow_dirty: go on with the committed HEAD when the checkout has other changes.
        remote: where data is pushed, any URL or path that DVC takes; None keeps what is configured, by default a folder below `.footfall/`.

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
    if remote is not None:
        dvc(workspace, "remote", "add", "--quiet", "--local", "--force", "--default", REMOTE, _absolute(remote))
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
    _configure_dvc(checkout, workspace)


def _configure_dvc(checkout: Path, workspace: Path) -> None:
    """Point the workspace's DVC at the checkout's cache, unless somebody has pointed it elsewhere, and at a remote."""
    local = workspace / ".dvc" / "config.local"
    if not local.parent.is_dir():
        raise WorkspaceError(
            "the checkout's HEAD has no DVC set-up", where=checkout, expected=".dvc/config in git", next_step="git pull, then run again"
        )
    Paths(workspace).prefect_home.mkdir(parents=True, exist_ok=True)  # Prefect makes no parent folders
    if not local.exists():
        use_cache(workspace, Paths(checkout).cache)
    if not has_remote(workspace):
        # Relative to .dvc, so that a workspace that is moved takes its remote along. What is pulled from it is hashed.
        relative = os.path.relpath(Paths(workspace).remote, workspace / ".dvc")
        _set(local, {"core": {"remote": REMOTE}, f"'remote \"{REMOTE}\"'": {"url": relative, "verify": "true"}})


def use_cache(workspace: Path, cache: Path) -> None:
    """Let the workspace's DVC keep its objects in `cache`; a setting of this clone alone."""
    _set(workspace / ".dvc" / "config.local", {"cache": {"dir": str(cache)}})


def has_remote(workspace: Path) -> bool:
    """Whether DVC knows a default remote in this clone, committed or local."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([workspace / ".dvc" / "config", workspace / ".dvc" / "config.local"], encoding="utf-8")
    return config.has_option("core", "remote")


def _set(path: Path, settings: dict[str, dict[str, str]]) -> None:
    config = configparser.ConfigParser(interpolation=None)
    config.read(path, encoding="utf-8")
    config.read_dict(settings)
    half = path.with_name(f".{path.name}.half")
    with half.open("w", encoding="utf-8") as file:
        config.write(file)
    half.replace(path)


def _absolute(remote: str) -> str:
    """A path from where the command was typed, made independent of it; a URL as it is."""
    return remote if "://" in remote else str(Path(remote).expanduser().resolve())
