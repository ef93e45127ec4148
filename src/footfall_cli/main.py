"""The `footfall` command: shop-level verbs only. Native tools stay native (`dvc repro`, `prefect deployment run`, `evidently ui`).

Every verb module imports its frameworks inside its functions, so that `footfall --help` stays quick.
"""

from __future__ import annotations

import typer

from footfall_cli import backup, consent, demo, doctor, erase, feedback, ingest, init, load, quarantine, recommend, release, review, status, trace

app = typer.Typer(
    name="footfall",
    help="From a shop's behaviour events to recommendations that are served, watched, retrained and released safely.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("demo")(demo.run)
app.command("init")(init.run)
app.command("ingest")(ingest.run)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(release.app, name="release")
app.add_typer(review.app, name="review")
app.add_typer(load.app, name="load")
app.command("recommend")(recommend.run)
app.command("backup")(backup.save)
app.command("restore")(backup.restore)
app.command("retain")(backup.retain)
app.command("erase")(erase.run)
app.command("consent")(consent.run)
app.command("trace")(trace.run)
app.command("feedback")(feedback.run)
app.command("status")(status.run)
app.add_typer(doctor.app, name="doctor")


if __name__ == "__main__":
    app()
