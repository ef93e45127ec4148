"""The demo's workspace: made fresh for each run, with its own DVC cache, the public demonstration key, and nothing of the user's own.

A run cache that outlived its workspace would answer the second training without training; so the cache lives and dies with the workspace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from footfall.errors import BusyError, WorkspaceError
from footfall.params import load_params
from footfall.paths import Paths
from footfall.pseudonyms import DEMO_KEY, write_key

_FOREIGN = ("FOOTFALL_", "PREFECT_", "BENTOML_")
"""Variables of the user's shell that would lead the demo to their store, server or service; none of them reaches it."""


def forget_environment() -> None:
    """Drop the user's settings of the tools from this process, so that the demo touches nothing of theirs."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN):
            del os.environ[name]


@contextmanager
def alone(checkout: Path) -> Iterator[None]:
    """One demo at a time in a checkout.

    Raises:
        WorkspaceError: another one runs.
    """
    from flows.lease import lease

    try:
        with lease(Paths(checkout).state / "demo.lease", "demo"):
            yield
    except BusyError as error:
        if "demo.lease" not in str(error.where):
            raise
        raise WorkspaceError("another demo runs in this checkout", where=checkout, found=error.found, next_step="wait for it to end") from error


def stop_earlier(checkout: Path) -> int:
    """Stop what an earlier demo left running, kept or interrupted; return how many processes."""
    from footfall_cli.processes import stop_leftovers

    return stop_leftovers(Paths(checkout).workspace)


def make_fresh(checkout: Path, overrides: Mapping[str, Any] | None = None) -> tuple[Path, list[str]]:
    """Remove the last demo's workspace and make a new one; return it, and the checkout's files that are not committed, so not in it.

    Args:
        checkout: whose committed HEAD is cloned.
        overrides: parameters by section that replace those of params.yaml, committed in the workspace.

    Raises:
        WorkspaceError: the folder holds a workspace that no demo made.
    """
    from flows.versions.workspace import init, use_cache

    paths = Paths(checkout)
    workspace, ours = paths.workspace, paths.state / "workspace-of-the-demo"
    if workspace.exists() and not ours.exists():
        raise WorkspaceError(
            "that workspace was not made by a demo",
            where=workspace,
            expected="none, or a demo's",
            next_step=f"mv {workspace} elsewhere, then run again",
        )
    paths.state.mkdir(parents=True, exist_ok=True)
    ours.touch()
    if workspace.exists():
        workspace.rename(paths.state / f".workspace-to-remove-{os.getpid()}")
    for old in paths.state.glob(".workspace-to-remove-*"):
        shutil.rmtree(old)
    made = init(checkout, workspace, allow_dirty=True)
    own = Paths(workspace)
    use_cache(workspace, own.cache)
    write_key(own.key, DEMO_KEY)
    if overrides:
        _override(workspace, overrides)
    return workspace, made.left_out


def _override(workspace: Path, overrides: Mapping[str, Any]) -> None:
    """Write other parameters into the workspace and commit them there; the checkout's stay as they are."""
    path = Paths(workspace).params
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in overrides.items():
        document.setdefault(section, {}).update(values)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    load_params(path)
    subprocess.run(["git", "commit", "--quiet", "--no-verify", "-m", "Use the demo's own parameters", "--", "params.yaml"], cwd=workspace, check=True)
