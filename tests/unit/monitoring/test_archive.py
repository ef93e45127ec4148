"""Reports on disk: HTML of the latest, JSON of each, one run a comparison in the Evidently workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from evidently.ui.workspace import Workspace

from monitoring import DRIFT, Window, compare, write_reports

Draw = Callable[..., tuple[Window, Window]]


def test_reports_are_written_and_the_workspace_holds_each_comparison_once(draw: Draw, tmp_path: Path) -> None:
    drift = compare(*draw(slates=True, events=1000), {"volume_change": 0.1})
    quiet = compare(*reversed(draw()), {"volume_change": 0.1})
    reports = write_reports(drift, tmp_path / "monitoring", "w1")
    write_reports(quiet, tmp_path / "monitoring", "w2")
    write_reports(drift, tmp_path / "monitoring", "w1")

    document = json.loads(reports.json.read_text())
    assert document["verdict"] == DRIFT
    assert [measure["name"] for measure in document["measures"] if measure["outcome"] == "over the limit"] == ["volume_change"]
    assert [test["status"] for test in document["evidently"]["tests"]] == ["FAIL"]
    assert reports.html.stat().st_size > 1_000_000
    assert b"Event volume" in reports.html.read_bytes()

    workspace = Workspace.create(str(reports.workspace))
    (project,) = workspace.list_projects()
    runs = [workspace.get_run(project.id, run) for run in workspace.list_runs(project.id)]
    assert sorted(run.name for run in runs if run is not None) == sorted([drift.snapshot.get_name(), quiet.snapshot.get_name()])


def test_no_user_and_no_item_stands_in_the_reports(draw: Draw, tmp_path: Path) -> None:
    comparison = compare(*draw(slates=True), {"volume_change": 0.1})
    reports = write_reports(comparison, tmp_path, "w1")
    written = [reports.json, *reports.workspace.rglob("*.json")]
    for path in written:
        assert '"u17"' not in path.read_text()
        assert '"i07"' not in path.read_text()
    assert len(written) >= 3


def test_importing_the_package_does_not_import_evidently(checkout: Path) -> None:
    code = "import sys, monitoring; sys.exit('evidently' in sys.modules or 'pandas' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'src'}"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
