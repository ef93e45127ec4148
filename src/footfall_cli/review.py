"""`footfall review list|show|decide`: drift reports that wait for a person's word."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import Annotated

import typer

from footfall.errors import FootfallError
from footfall_cli.console import reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, engine_of, find_root

app = typer.Typer(help="Drift reviews: list, show, decide.", no_args_is_help=True)
ReviewArgument = Annotated[str, typer.Argument(help="A review that `review list` names.")]


class Word(StrEnum):
    """What a reviewer may say."""

    RETRAIN = "retrain"
    SNOOZE = "snooze"
    DISMISS = "dismiss"


STATES = {Word.RETRAIN: "retrain", Word.SNOOZE: "snoozed", Word.DISMISS: "dismissed"}


@app.command("list")
@reporting
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """All drift reviews, newest first."""
    from footfall.store import reviews

    found = reviews.list_all(engine_of(find_root(workspace)))[::-1]
    if as_json:
        say_json([review.as_dict() for review in found])
        return
    say_table(
        "reviews",
        ["review", "made", "verdict", "state", "window", "by"],
        [(r.review_id, r.created_at, r.verdict, r.state, " to ".join(r.current), r.decided_by) for r in found],
    )


@app.command()
@reporting
def show(review_id: ReviewArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """One drift review: verdict, reasons, measures, where its report is."""
    from footfall.store import reviews

    review = reviews.get(engine_of(find_root(workspace)), review_id)
    if as_json:
        say_json(review.as_dict())
        return
    say(f"{review.review_id}: {review.verdict}, {review.state}")
    say(f"reference {' to '.join(review.reference)}, current {' to '.join(review.current)}, release {review.release}")
    for reason in review.reasons:
        say(f"  because {reason}")
    if review.measures:
        say_table("measures", list(review.measures[0]), [list(measure.values()) for measure in review.measures])
    say(f"report: {review.report_html or 'none'}")


@app.command()
@reporting
def decide(
    review_id: ReviewArgument,
    word: Annotated[Word, typer.Argument(help="What to do about it.")],
    by: Annotated[str | None, typer.Option("--by", help="Who says so. Default: your login name.")] = None,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Settle a review: retrain now, snooze or dismiss."""
    from footfall.store import reviews
    from footfall_cli.ingest import run_flow

    root = find_root(workspace)
    engine = engine_of(root)
    review = reviews.decide(engine, review_id, STATES[word], by or getpass.getuser(), note)
    if word is Word.RETRAIN:
        try:
            run_flow(root, "retrain", {"as_of": review.current[1], "reason": f"review {review_id}"}, quiet=as_json)
        except FootfallError as error:
            error.next_step = "the review is decided; start the retrain again: prefect deployment run retrain/on-drift"
            raise
    if as_json:
        say_json(review.as_dict())
    else:
        say(f"{review.review_id}: {review.state} by {review.decided_by}")
