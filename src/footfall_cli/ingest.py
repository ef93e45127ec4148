"""`footfall ingest`: land events, judge them, put bad rows aside."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from footfall.errors import HoldError, ServiceError
from footfall_cli.console import REFUSED, reporting, say, say_json, say_table
from footfall_cli.root import JsonOption, WorkspaceOption, find_root

MomentOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only events before this moment (UTC). Default: params data.as_of.")
]


@reporting
def run(
    source: Annotated[
        str | None,
        typer.Option(
            help="complete_journey, simulator with options, or a mapping file (docs/data.md); "
            "without it only the HTTP service's live events are landed."
        ),
    ] = None,
    until: MomentOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Land events batch by batch through the gate; bad rows go to quarantine, a bad batch is held."""
    from footfall_cli import facts

    root = find_root(workspace)
    if source is not None and source.endswith((".yaml", ".yml")):
        source = str(Path(source).resolve())  # the flow runs in the workspace's folder, not in this one
    run_flow(root, "ingest", {"source": source, "until": None if until is None else until.replace(tzinfo=UTC).isoformat()}, quiet=as_json)
    found = facts.ingested(root)
    if as_json:
        say_json(found)
    else:
        say(f"{found['events_landed']:,} rows of events in {found['batches']} batches")
        say_table("quarantine", ["reason", "rows"], found["rows_quarantined"].items())
    if found["held"]:
        held = HoldError("a batch is held", where=", ".join(found["held"]), next_step="footfall quarantine list")
        if not as_json:
            say(f"error: {held}")
        raise typer.Exit(REFUSED)


def run_flow(root: Path, name: str, parameters: dict[str, Any], *, quiet: bool = False) -> None:
    """Run one flow to its end: by the workspace's worker when production is up there, else in a process of its own.

    Raises:
        ServiceError: the flow failed; the end of what it said is in the message.
    """
    from flows.environment import process_environment
    from footfall_cli.orchestrator import Orchestrator
    from footfall_cli.status import running

    up = running(root)
    deployments = {"ingest": "ingest/scheduled", "monitor": "monitor/scheduled", "retrain": "retrain/on-drift", "release": "release/manual"}
    if name in deployments and "orchestrator" in up and "worker" in up:
        server = Orchestrator(f"{up['orchestrator'].url}/api")
        server.wait(server.start(deployments[name], parameters), timeout_s=3600)
        return
    pairs = [part for key, value in parameters.items() if value is not None for part in (f"--{key.replace('_', '-')}", str(value))]
    command, output = [sys.executable, "-m", "flows", "run", name, *pairs], subprocess.PIPE if quiet else None
    done = subprocess.run(
        command, cwd=root, env=process_environment(root), stdout=output, stderr=subprocess.STDOUT if quiet else None, text=True, check=False
    )
    if done.returncode:
        found = "see the lines above" if done.stdout is None else "\n".join(done.stdout.splitlines()[-15:])
        raise ServiceError(f"flow {name} failed", where=root, expected="exit 0", found=found, next_step="footfall doctor")
