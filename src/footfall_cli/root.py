"""Which folder a verb works on: a workspace or a checkout, found in one way by all verbs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.errors import WorkspaceError
from footfall.paths import Paths

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from footfall.settings import Settings

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help="Workspace to work on. Default: FOOTFALL_ROOT, else here, else .footfall/workspace.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def is_root(folder: Path) -> bool:
    """Whether `folder` is a checkout or a workspace: it holds the pure pipeline and its numbers."""
    return (folder / "dvc.yaml").is_file() and Paths(folder).params.is_file()


def find_root(given: Path | None = None) -> Path:
    """The folder that a verb works on.

    The first that applies: `--workspace`, FOOTFALL_ROOT, the current folder when it is a checkout or workspace whose store exists,
    its `.footfall/workspace`, the current folder when it is a checkout at all.

    Raises:
        WorkspaceError: none applies, or the named folder is none.
    """
    named = given or (Path(os.environ["FOOTFALL_ROOT"]) if os.environ.get("FOOTFALL_ROOT") else None)
    if named is not None:
        if not is_root(named):
            raise WorkspaceError("no workspace there", where=named, expected="dvc.yaml and params.yaml", next_step=f"footfall init {named}")
        return named.resolve()
    here = Path.cwd()
    if is_root(here) and Paths(here).store.exists():
        return here
    below = Paths(here).workspace
    if is_root(below):
        return below
    if is_root(here):
        return here
    raise WorkspaceError(
        "no workspace here", where=here, expected="a checkout or a workspace", next_step="footfall init DIR, then cd DIR or give --workspace DIR"
    )


def find_checkout() -> Path:
    """The checkout that this code runs from, for verbs that make a workspace of it.

    Raises:
        WorkspaceError: the current folder is no checkout and neither is the folder of the installed code.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if is_root(folder) and (folder / ".git").exists():
            return folder
    raise WorkspaceError("no checkout here", where=Path.cwd(), expected="a git checkout of Footfall", next_step="cd into the checkout")


def settings_of(root: Path) -> Settings:
    """The environment's settings with `root` in FOOTFALL_ROOT's place."""
    from footfall.settings import load_settings

    return load_settings({**os.environ, "FOOTFALL_ROOT": str(root)})


def engine_of(root: Path) -> Engine:
    """The live store of `root`, migrated to its newest schema."""
    from footfall.store import open_store

    return open_store(settings_of(root).store_url)
