"""`footfall release list|show|promote|rollback`: which releases there are, and a person's word on them."""

from __future__ import annotations

from typing import Annotated

import typer

from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root

app = typer.Typer(help="Releases: list, show, promote, roll back.", no_args_is_help=True)
ReleaseArgument = Annotated[str, typer.Argument(help="A release id, such as r0123456789ab.")]


@app.command("list")
@reporting
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """All releases, newest first."""
    from footfall.store import releases

    found = releases.list_all(engine_of(find_root(workspace)))[::-1]
    if as_json:
        say_json([as_plain(release) for release in found])
        return
    say_table(
        "releases",
        ["release", "state", "as_of", "made", "parent", "bento"],
        [(r.release_id, r.state, r.as_of, r.created_at, r.parent, r.bento_tag) for r in found],
    )


@app.command()
@reporting
def show(release_id: ReleaseArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """One release: state, lineage, decision with reasons, metrics."""
    from footfall.store import releases

    release = releases.get(engine_of(find_root(workspace)), release_id)
    document = as_plain(release)
    if as_json:
        say_json(document)
        return
    decision = document.pop("decision", None) or {}
    document.pop("metrics", None)
    say_table(release_id, ["what", "value"], document.items())
    say_table("decision", ["what", "value"], [("outcome", decision.get("outcome")), *(("reason", reason) for reason in decision.get("reasons", []))])


@app.command()
@reporting
def promote(release_id: ReleaseArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Make a candidate that the gate passed the champion; the running service changes over within seconds."""
    from footfall.store import releases

    _say_champion(releases.promote(engine_of(find_root(workspace)), release_id), as_json=as_json)


@app.command()
@reporting
def rollback(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Make the champion's parent the champion again."""
    from footfall.store import releases

    _say_champion(releases.rollback(engine_of(find_root(workspace))), as_json=as_json)


def _say_champion(release: object, *, as_json: bool) -> None:
    document = as_plain(release)
    if as_json:
        say_json(document)
    else:
        say(f"champion: {document['release_id']} (as_of {document['as_of']})")
