"""`footfall quarantine list|show|replay|drop`: what the gate put aside, why, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from footfall.paths import Paths
from footfall_cli.console import as_plain, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, find_root

if TYPE_CHECKING:
    from footfall.documents import Verdict

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
    batch_id: Annotated[str, typer.Argument(help="A batch that `quarantine list` names.")],
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
            _show_held(verdict, as_json=as_json)
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


@app.command()
@reporting
def replay(
    batch_id: Annotated[str, typer.Argument(help="A batch that `quarantine list` names.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the rows of one batch before the gate again, after what was wrong has been mended; what passes is accepted, once."""
    from footfall.sources import quarantine
    from footfall_cli.ingest import run_flow

    root = find_root(workspace)
    paths = Paths(root)
    before = quarantine.read(paths, batch_id).num_rows
    run_flow(root, "replay", {"batch_id": batch_id}, quiet=True)
    left = next((batch.reasons for batch in quarantine.list_all(paths) if batch.batch_id == batch_id), {})
    accepted = before - sum(left.values())
    if as_json:
        say_json({"batch_id": batch_id, "accepted": accepted, "left": left})
        return
    say(f"{batch_id}: {accepted} of {before} rows accepted")
    say_table("still in quarantine", ["reason", "rows"], left.items())


@app.command()
@reporting
def drop(
    batch_id: Annotated[str, typer.Argument(help="A batch that `quarantine list` names.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give the quarantined rows of one batch up for good; a note of how many, and why they were there, stays."""
    from datetime import UTC, datetime

    from footfall.sources import quarantine

    paths = Paths(find_root(workspace))
    rows = quarantine.read(paths, batch_id).num_rows
    if not yes:
        typer.confirm(f"drop {rows} rows of {batch_id} for good?", abort=True, err=True)
    dropped = quarantine.drop(paths, batch_id, datetime.now(UTC))
    if as_json:
        say_json({"batch_id": batch_id, "dropped": dropped})
    else:
        say(f"{batch_id}: {rows} rows dropped")


def _show_held(verdict: Verdict, *, as_json: bool) -> None:
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
    say(f"next: {verdict.next_step or 'mend the source and land the batch again'}")


def _broken(checks: list[dict[str, object]]) -> str:
    return ", ".join(str(check.get("rule")) for check in checks if not check.get("ok") and check.get("severity") == "batch")
