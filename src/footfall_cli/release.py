"""`footfall release list|show|promote|rollback|shadow|canary|end|sign|verify-key`: which releases there are, and a person's word on them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.errors import SettingsError
from footfall.paths import Paths
from footfall.signing import MAKE_A_KEY, SIGNING, VERIFY
from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from footfall.store.arms import Arm
    from footfall.store.releases import Release

app = typer.Typer(help="Releases: list, show, promote, roll back, try beside the champion, sign.", no_args_is_help=True)
ReleaseArgument = Annotated[str, typer.Argument(help="A release id, such as r0123456789ab.")]
ShareOption = Annotated[float, typer.Option("--share", help="Of the users, between 0 and 1, such as 0.05.")]


class ArmName(StrEnum):
    """What a release can be beside the champion."""

    shadow = "shadow"
    canary = "canary"


ArmArgument = Annotated[ArmName, typer.Argument(help="Which of them.")]


@app.command("list")
@reporting
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """All releases, newest first, and which of them is shadow or canary."""
    from footfall.store import arms, releases

    engine = engine_of(find_root(workspace))
    found, held = releases.list_all(engine)[::-1], {arm.release_id: arm for arm in arms.list_all(engine)}
    if as_json:
        say_json([as_plain(release) | {"arm": as_plain(held.get(release.release_id))} for release in found])
        return
    say_table(
        "releases",
        ["release", "state", "arm", "as_of", "made", "parent", "bento"],
        [(r.release_id, r.state, _in_words(held.get(r.release_id)), r.as_of, r.created_at, r.parent, r.bento_tag) for r in found],
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

    engine = _vouched(workspace, release_id)
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
def shadow(release_id: ReleaseArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let a release answer unseen beside the champion: nobody is shown its slates, the metrics compare them."""
    from footfall.store import arms

    engine = _vouched(workspace, release_id)
    _say_arm(arms.begin_shadow(engine, release_id, datetime.now(UTC)), as_json=as_json)


@app.command()
@reporting
def canary(release_id: ReleaseArgument, share: ShareOption, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let a release answer a share of the users, always the same ones; of the canary itself, change the share."""
    from footfall.store import arms

    engine = _vouched(workspace, release_id)
    _say_arm(arms.begin_canary(engine, release_id, share, datetime.now(UTC)), as_json=as_json)


@app.command()
@reporting
def end(arm: ArmArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """End the shadow or the canary: within seconds the champion answers all users."""
    from footfall.store import arms

    ended = arms.end(engine_of(find_root(workspace)), arm)
    if as_json:
        say_json(as_plain(ended))
    else:
        say(f"ended: {_in_words(ended)} {ended.release_id}")


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


def _vouched(workspace: Path | None, release_id: str) -> Engine:
    """The store, once it is sure that the service can take the release."""
    from footfall.store import releases

    root = find_root(workspace)
    engine = engine_of(root)
    _vouch(root, releases.get(engine, release_id))
    return engine


def _vouch(root: Path, release: Release) -> None:
    """Before a pointer moves: the service must be able to take the release."""
    from bentos.registry import vouch
    from footfall.signing import signing_key_in, verify_keys_in

    stated = os.environ.get("BENTOML_HOME")
    vouch(release, signing_key_in(), verify_keys_in(), home=Path(stated) if stated else Paths(root).bentoml_home)


def _no_key() -> SettingsError:
    return SettingsError("no signing key", where=SIGNING, expected="32 bytes as base64", found="none", next_step=MAKE_A_KEY)


def _in_words(arm: Arm | None) -> str | None:
    if arm is None:
        return None
    return arm.arm if arm.arm != ArmName.canary else f"{arm.arm} {arm.share:.4g}"


def _say_arm(arm: Arm, *, as_json: bool) -> None:
    if as_json:
        say_json(as_plain(arm))
    else:
        say(f"{_in_words(arm)}: {arm.release_id} (since {arm.since:%Y-%m-%d %H:%M} UTC)")


def _say_champion(release: object, *, as_json: bool) -> None:
    document = as_plain(release)
    if as_json:
        say_json(document)
    else:
        say(f"champion: {document['release_id']} (as_of {document['as_of']})")
