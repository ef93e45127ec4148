"""`footfall release list|show|promote|rollback|sign|verify-key`: which releases there are, and a person's word on them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.errors import SettingsError
from footfall.paths import Paths
from footfall.signing import MAKE_A_KEY, SIGNING, VERIFY
from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root

if TYPE_CHECKING:
    from footfall.store.releases import Release

app = typer.Typer(help="Releases: list, show, promote, roll back, sign.", no_args_is_help=True)
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

    root = find_root(workspace)
    engine = engine_of(root)
    _vouch(root, releases.get(engine, release_id))
    _say_champion(releases.promote(engine, release_id), as_json=as_json)


@app.command()
@reporting
def rollback(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Make the champion's parent the champion again."""
    from footfall.store import releases

    root = find_root(workspace)
    engine = engine_of(root)
    champion = releases.champion(engine)
    if champion is not None and champion.parent is not None:
        _vouch(root, releases.get(engine, champion.parent))
    _say_champion(releases.rollback(engine), as_json=as_json)


@app.command()
@reporting
def sign(release_id: ReleaseArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Sign a release with FOOTFALL_SIGNING_KEY: one from before there was a key, or that another key signed."""
    from footfall.signing import signing_key_in, verify_key
    from footfall.store import releases

    key = signing_key_in()
    if key is None:
        raise _no_key()
    root = find_root(workspace)
    _vouch(root, releases.get(engine_of(root), release_id))
    document = {"release_id": release_id, "verify_key": verify_key(key)}
    if as_json:
        say_json(document)
    else:
        say(f"signed {release_id}; the service needs {VERIFY}={document['verify_key']}")


@app.command("verify-key")
@reporting
def show_verify_key(as_json: JsonOption = False) -> None:
    """The public key of FOOTFALL_SIGNING_KEY, for FOOTFALL_VERIFY_KEYS where the service runs."""
    from footfall.signing import signing_key_in, verify_key

    key = signing_key_in()
    if key is None:
        raise _no_key()
    if as_json:
        say_json({"verify_key": verify_key(key)})
    else:
        say(f"{VERIFY}={verify_key(key)}")


def _vouch(root: Path, release: Release) -> None:
    """Before the champion pointer moves: the service must be able to take the release."""
    from bentos.registry import vouch
    from footfall.signing import signing_key_in, verify_keys_in

    stated = os.environ.get("BENTOML_HOME")
    vouch(release, signing_key_in(), verify_keys_in(), home=Path(stated) if stated else Paths(root).bentoml_home)


def _no_key() -> SettingsError:
    return SettingsError("no signing key", where=SIGNING, expected="32 bytes as base64", found="none", next_step=MAKE_A_KEY)


def _say_champion(release: object, *, as_json: bool) -> None:
    document = as_plain(release)
    if as_json:
        say_json(document)
    else:
        say(f"champion: {document['release_id']} (as_of {document['as_of']})")
