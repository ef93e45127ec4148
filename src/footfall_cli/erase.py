"""`footfall erase`: a user leaves every place that Footfall keeps, and a certificate says so."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.errors import SourceError, WorkspaceError
from footfall_cli.console import reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, find_root, settings_of

if TYPE_CHECKING:
    from footfall.documents import ErasureCertificate
    from footfall.settings import Settings

UserArgument = Annotated[str | None, typer.Argument(help="The shop's own id of the user.", show_default=False)]


@reporting
def run(
    user_id: UserArgument = None,
    pseudonym: Annotated[str | None, typer.Option(help="The user's pseudonym, where the shop's id is not at hand.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of shop ids, one a line; - reads them from standard input.")] = None,
    recorded: Annotated[bool, typer.Option("--recorded", help="Carry out every erasure on record again: after a kill or a restore.")] = False,
    verify: Annotated[str | None, typer.Option(help="Look again for a user: a shop id, an erasure's id or a certificate's file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a user from store, quarantine, raw batches, caches and remotes; the next retrain leaves them out."""
    if sum(given is not None for given in (user_id, pseudonym, file, verify)) + recorded != 1:
        raise typer.BadParameter("name one of USER_ID, --pseudonym, --file, --recorded, --verify")
    root = find_root(workspace)
    settings = settings_of(root)
    if verify is not None:
        _verify(settings, verify, as_json=as_json)
        return
    from flows import erasing
    from flows.certificates import path_of

    if recorded:
        certificates = erasing.erase_recorded(settings)
    else:
        users = [pseudonym] if pseudonym is not None else _pseudonyms(settings, [user_id] if user_id is not None else _lines(file))
        if not yes and not as_json and sys.stdin.isatty():
            typer.confirm(f"erase {'this user' if len(users) == 1 else f'these {len(users)} users'} for good?", abort=True, err=True)
        certificates = erasing.erase(settings, users)
    if as_json:
        documents = [{**one.as_dict(), "path": str(path_of(settings.paths, one.erasure_id))} for one in certificates]
        say_json(documents if recorded or file is not None else documents[0])
        return
    for one in certificates:
        _show(one, path_of(settings.paths, one.erasure_id))
    if not certificates:
        say("every erasure on record has been carried out")


def _show(one: ErasureCertificate, path: Path) -> None:
    say_table(f"erasure {one.erasure_id}", ["place", "rows", "gone at"], [(place["place"], place["rows"], place["at"]) for place in one.places])
    say_table("releases that cannot be rebuilt byte for byte any more", ["release", "revision"], [list(release.values()) for release in one.releases])
    for line in one.remains:
        say(f"remains: {line}")
    say(f"erased in {one.seconds} s; certificate: {path}")


def _verify(settings: Settings, asked: str, *, as_json: bool) -> None:
    """Look again, and refuse to say clean of what is not."""
    from flows import erasing

    subject, until, name = _subject(settings, asked)
    left = erasing.look(settings, subject, until)
    clean = not any(left.values())
    if as_json:
        say_json({"erasure_id": name, "until": until.isoformat(), "clean": clean, "left": left})
    else:
        say_table("looked for", ["place", "rows left"], left.items())
    if not clean:
        found = ", ".join(f"{rows} in {place}" for place, rows in left.items() if rows)
        if as_json:
            raise typer.Exit(1)
        next_step = "footfall erase --recorded" if name else "footfall erase USER_ID"
        raise WorkspaceError("this user is still here", where=settings.root, expected="no row", found=found, next_step=next_step)
    if not as_json:
        say(f"clean: nothing from before {until:%Y-%m-%d %H:%M:%S} UTC is left" + ("" if name else "; this user was never erased here"))


def _subject(settings: Settings, asked: str) -> tuple[str, datetime, str | None]:
    """(subject, until when, erasure id) of a certificate, an erasure's id or a shop id; until now for somebody who was never erased."""
    from footfall.documents import ErasureCertificate
    from footfall.store import erasures, open_store

    if asked.endswith(".json") and Path(asked).is_file():
        document = ErasureCertificate.from_json(Path(asked).read_text(encoding="utf-8"), where=asked)
        return document.subject, datetime.fromisoformat(document.requested_at), document.erasure_id
    engine = open_store(settings.store_url)
    try:
        records = erasures.list_all(engine)
    finally:
        engine.dispose()
    subject = next((one.subject for one in records if one.erasure_id == asked), None)
    subject = subject or erasures.subject_of(_pseudonyms(settings, [asked])[0])
    known = [one for one in records if one.subject == subject]
    return (subject, known[-1].requested_at, known[-1].erasure_id) if known else (subject, datetime.now(UTC), None)


def _pseudonyms(settings: Settings, raw: list[str]) -> list[str]:
    from footfall.pseudonyms import pseudonym, read_key

    if settings.pseudonym_key is None and not settings.paths.key.exists():
        # a new key would name nobody who is here
        raise SourceError(
            "there is no pseudonym key, so nobody can be found by the shop's id", where=settings.paths.key, next_step="give --pseudonym"
        )
    key = settings.pseudonym_key or read_key(settings.paths.key)
    return [pseudonym(one, key) for one in raw]


def _lines(file: Path | None) -> list[str]:
    text = sys.stdin.read() if file is None or str(file) == "-" else file.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]
