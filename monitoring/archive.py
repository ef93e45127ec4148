"""Where comparisons are kept: HTML of the latest, JSON of each, and a run in an Evidently workspace for `evidently ui`.

Every file is written beside its place and renamed into it, so that a reader never sees half of one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footfall.tables import write_text
from monitoring.verdict import Comparison

PROJECT = "footfall"
LATEST_HTML = "latest.html"
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Reports:
    """Where one comparison's reports lie."""

    html: Path
    json: Path
    workspace: Path


def write_reports(comparison: Comparison, folder: Path, name: str) -> Reports:
    """Write `folder/latest.html`, `folder/<name>.json` and a run in `folder/workspace`.

    HTML weighs some 4 MB whatever the rows, so only the latest is kept; JSON holds the verdict, every measure and Evidently's own values.
    Writing the same comparison again replaces its run in the workspace.

    Args:
        comparison: from `compare`.
        folder: `paths.monitoring_reports`; made when missing.
        name: file name of the JSON without its ending, such as the review's id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reports = Reports(folder / LATEST_HTML, folder / f"{name}.json", folder / WORKSPACE)
    document = {**comparison.as_dict(), "evidently": _plain(comparison.snapshot.dict())}
    write_text(reports.json, json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    write_text(reports.html, comparison.snapshot.get_html_str(as_iframe=False))
    _add_run(comparison, reports.workspace)
    return reports


def _add_run(comparison: Comparison, folder: Path) -> None:
    from evidently.ui.workspace import Workspace

    workspace = Workspace.create(str(folder))
    found = workspace.search_project(PROJECT)
    project = found[0] if found else workspace.create_project(PROJECT, description="Reference window against current window")
    for run in workspace.list_runs(project.id):
        kept = workspace.get_run(project.id, run)
        if kept is not None and kept.name == comparison.snapshot.get_name():
            workspace.delete_run(project.id, run)
    workspace.add_run(project.id, comparison.snapshot, include_data=False)


def _plain(value: Any) -> Any:
    """Numpy scalars, enums and models of Evidently's dictionary as plain JSON values."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
