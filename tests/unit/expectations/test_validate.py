"""`python -m expectations validate`: a report that repeats, and an exit status that stops the pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from expectations.__main__ import main
from footfall.manifest import write_manifest
from footfall.paths import Paths
from footfall.tables import write_parquet
from tests.unit.rows import catalogue, events, user, users


@pytest.fixture
def paths(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A root with good canonical tables; it is the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((checkout / "params.yaml").read_text())
    write(Paths(tmp_path), events({}))
    return Paths(tmp_path)


def write(paths: Paths, table: pa.Table) -> None:
    """Canonical tables with these events."""
    for name, rows in (("events", table), ("catalogue", catalogue("apple", "pear")), ("users", users(user("ann")))):
        write_parquet(paths.tables / f"{name}.parquet", rows)
    write_manifest(paths.tables)


def test_good_tables_pass_and_the_report_repeats_byte_for_byte(paths: Paths) -> None:
    assert main(["validate"]) == 0
    before = paths.validation_report.read_bytes()

    assert main(["validate"]) == 0

    assert paths.validation_report.read_bytes() == before
    assert json.loads(before)["outcome"] == "pass"
    assert sorted(json.loads(before)["tables"]) == ["catalogue", "events", "users"]


def test_a_table_that_breaks_a_batch_rule_stops_the_pipeline(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    write(paths, events({"event_id": "same"}, {"event_id": "same"}))

    assert main(["validate"]) == 1
    assert "event_id is unique" in capsys.readouterr().err
    assert json.loads(paths.validation_report.read_bytes())["outcome"] == "hold"


def test_a_row_that_belongs_in_quarantine_stops_the_pipeline_too(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    write(paths, events({}, {"item_id": "gone"}))

    assert main(["validate"]) == 1
    assert "unknown_item" in capsys.readouterr().err


def test_a_missing_table_is_named(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (paths.tables / "users.parquet").unlink()

    assert main(["validate"]) == 1
    assert "dvc repro --force events" in capsys.readouterr().err
