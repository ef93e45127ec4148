"""`footfall quarantine list|show|replay|release|drop`: what the gate put aside, why, and what becomes of it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footfall.paths import Paths
from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, find_root

if TYPE_CHECKING:
    from footfall.documents import Verdict

BatchArgument = Annotated[str, typer.Argument(help="A batch that `quarantine list` names.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who says so. Default: your login name.")]

app = typer.Typer(help="What the gate put aside, and why.", no_args_is_help=True)


@app.command("list")
@reporting
def list_all(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Batches with rows in quarantine, by reason, and batches held whole."""
    from footfall.sources import quarantine
    from footfall.sources.landing import list_held

    paths = Paths(find_root(workspace))
    rows, held = quarantine.list_all(paths), list_held(paths)
    if as_json:
        say_json({"rows": [as_plain(batch) for batch in rows], "held": [verdict.as_dict() for verdict in held]})
        return
    say_table(
        "rows in quarantine",
        ["contract", "batch", "reason", "rows"],
        [(b.contract, b.batch_id, reason, n) for b in rows for reason, n in b.reasons.items()],
    )
    say_table(
        "held batches",
        ["contract", "batch", "rows", "broken rules", "next"],
        [(v.contract, v.subject, v.rows, _broken(v.checks), v.next_step) for v in held],
    )


@app.command()
@reporting
def show(
    batch_id: BatchArgument,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rows of one batch that are in quarantine, each with its reason, or why a batch is held; user ids and query text are left out."""
    from footfall.contracts import C
    from footfall.sources import quarantine
    from footfall.sources.landing import list_held

    paths = Paths(find_root(workspace))
    for verdict in list_held(paths):
        if verdict.subject == batch_id:
            _show_held(verdict, _page(paths, verdict.contract, batch_id), as_json=as_json)
            return
    table = quarantine.read(paths, batch_id)
    shown = [
        name
        for name in (C.REASON, C.EVENT_ID, C.ITEM_ID, C.EVENT_TYPE, C.OCCURRED_AT, C.QUANTITY, C.PRICE_MINOR, C.PLACE, C.ORIGIN)
        if name in table.column_names
    ]
    rows = table.select(shown).slice(0, limit).to_pylist()
    if as_json:
        say_json({"batch_id": batch_id, "total": table.num_rows, "rows": rows})
        return
    say_table(f"{batch_id}: {len(rows)} of {table.num_rows} rows", shown, [list(row.values()) for row in rows])
    say(f"data report: {_page(paths, quarantine.find(paths, batch_id).parent.name, batch_id)}")


@app.command()
@reporting
def replay(
    batch_id: BatchArgument,
    mend: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A YAML file that puts the rows right first.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the rows of one batch before the gate again, after what was wrong has been mended; what passes is accepted, once."""
    from footfall.sources import quarantine
    from footfall_cli.ingest import run_flow

    root = find_root(workspace)
    paths = Paths(root)
    before, _ = _rows_of(paths, batch_id)
    run_flow(root, "replay", {"batch_id": batch_id, "mend": None if mend is None else str(mend.resolve())}, quiet=True)
    left = next((batch.reasons for batch in quarantine.list_all(paths) if batch.batch_id == batch_id), {})
    accepted = before - sum(left.values())
    if as_json:
        say_json({"batch_id": batch_id, "accepted": accepted, "left": left})
        return
    say(f"{batch_id}: {accepted} of {before} rows accepted")
    say_table("still in quarantine", ["reason", "rows"], left.items())


@app.command()
@reporting
def release(
    batch_id: BatchArgument,
    note: Annotated[str, typer.Option(help="Why; it stands in the receipt.")],
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a held batch in although it breaks rules about the batch; its bad rows still go to quarantine."""
    from footfall.sources import held, landing
    from footfall_cli.ingest import run_flow

    root = find_root(workspace)
    paths = Paths(root)
    folder = held.require(paths, batch_id)
    run_flow(root, "admit", {"batch_id": batch_id, "by": by or getpass.getuser(), "note": note}, quiet=True)
    verdict = landing.read_receipt(paths.raw / folder.parent.name / batch_id)
    if as_json:
        say_json(verdict.as_dict())
        return
    say(f"{batch_id}: accepted with {verdict.rows - sum(verdict.quarantined.values()):,} of {verdict.rows:,} rows")
    say_table("in quarantine", ["reason", "rows"], verdict.quarantined.items())


@app.command()
@reporting
def drop(
    batch_id: BatchArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give the quarantined rows of one batch up for good, or reject a held batch; a note stays of how many, and why."""
    from datetime import UTC, datetime

    from footfall.sources import quarantine
    from footfall_cli.ingest import run_flow

    root = find_root(workspace)
    paths = Paths(root)
    rows, is_held = _rows_of(paths, batch_id)
    if not yes:
        typer.confirm(f"drop {rows} rows of {batch_id} for good?", abort=True, err=True)
    if not is_held:
        dropped = quarantine.drop(paths, batch_id, datetime.now(UTC))
    else:
        run_flow(root, "reject", {"batch_id": batch_id, "by": by or getpass.getuser(), "note": note}, quiet=True)
        dropped = {"held": rows}
    if as_json:
        say_json({"batch_id": batch_id, "dropped": dropped})
    else:
        say(f"{batch_id}: {rows} rows dropped")


def _rows_of(paths: Paths, batch_id: str) -> tuple[int, bool]:
    """How many rows of a batch wait for a word, and whether it is held whole."""
    from footfall.sources import held, landing, quarantine

    folder = held.find(paths, batch_id)
    return (quarantine.read(paths, batch_id).num_rows, False) if folder is None else (landing.read_receipt(folder).rows, True)


def _show_held(verdict: Verdict, page: Path, *, as_json: bool) -> None:
    """The receipt of a held batch: every check, the failed ones first."""
    if as_json:
        say_json(verdict.as_dict())
        return
    checks = sorted(verdict.checks, key=lambda check: bool(check.get("ok")))
    say_table(
        f"{verdict.subject} is held: {verdict.rows:,} rows of {verdict.contract}",
        ["rule", "severity", "", "expected", "observed", "error"],
        [(c.get("rule"), c.get("severity"), "ok" if c.get("ok") else "BROKEN", c.get("expected"), c.get("observed"), c.get("error")) for c in checks],
    )
    for check in checks:
        if samples := check.get("samples"):
            say_table(f"samples: {check['rule']}", list(samples[0]), [list(sample.values()) for sample in samples])
    say(f"data report: {page}")
    say(f"next: {verdict.next_step or 'mend the source and land the batch again'}")


def _page(paths: Paths, contract: str, batch_id: str) -> Path:
    """The batch's page for people; made again from its receipt where it is gone."""
    from expectations.page import render
    from footfall.sources.landing import read_receipt
    from footfall.tables import write_text

    page = paths.data_reports / contract / f"{batch_id}.html"
    if not page.exists():
        held = paths.quarantine / "held" / contract / batch_id
        write_text(page, render(read_receipt(held if held.exists() else paths.raw / contract / batch_id)))
    return page


def _broken(checks: list[dict[str, object]]) -> str:
    return ", ".join(str(check.get("rule")) for check in checks if not check.get("ok") and check.get("severity") == "batch")
