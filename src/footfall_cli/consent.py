"""`footfall consent USER`: what a user has agreed to, and changing it when they say so."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root, settings_of


class Answer(StrEnum):
    """What a user may say about a purpose."""

    YES = "yes"
    NO = "no"


@reporting
def run(
    user: Annotated[str, typer.Argument(help="The shop's own id of the user; - reads it from standard input, so that no shell remembers it.")],
    personalise: Annotated[Answer | None, typer.Option(help="May their history be learnt from, and shape what they see?")] = None,
    analyse: Annotated[Answer | None, typer.Option(help="May they be counted in metrics and drift reports?")] = None,
    advertise: Annotated[Answer | None, typer.Option(help="May they be spoken to in campaigns?")] = None,
    source: Annotated[str, typer.Option(help="Where they said so; kept with it.")] = "command",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a user has agreed to, or record a new word: the service obeys it at once, training from the next ingest on."""
    from footfall.pseudonyms import pseudonym, read_key
    from footfall.store import consent

    root = find_root(workspace)
    settings, engine = settings_of(root), engine_of(root)
    raw = sys.stdin.readline().strip() if user == "-" else user
    if not raw:
        raise typer.BadParameter("no user id on standard input")
    user_id = pseudonym(raw, settings.pseudonym_key or read_key(settings.paths.key))
    given = {"personalise": personalise, "analyse": analyse, "advertise": advertise}
    purposes = {purpose: answer is Answer.YES for purpose, answer in given.items() if answer is not None}
    new = consent.say(engine, user_id, purposes, recorded_at=datetime.now(UTC), source=source) if purposes else 0
    words = consent.words(engine, user_id)
    if as_json:
        say_json({"recorded": new, "consent": [as_plain(word) for word in words]})
        return
    if purposes:
        say(f"{new} of {len(purposes)} recorded" + ("" if new == len(purposes) else "; something newer is known of the rest"))
    rows = [(word.purpose, "yes" if word.granted else "no", word.recorded_at, word.source) for word in words]
    say_table("consent", ["purpose", "granted", "said at", "source"], rows, empty="nothing on record: not asked, not objected")
