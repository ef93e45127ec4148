from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from footfall.errors import FootfallError, SettingsError, WorkspaceError
from footfall.paths import Paths
from footfall.tables import write_parquet
from footfall_cli import production
from footfall_cli.console import reporting
from footfall_cli.main import app
from footfall_cli.root import find_root
from tests.unit.rows import events

HEAVY = {
    "torch",
    "transformers",
    "prefect",
    "bentoml",
    "evidently",
    "great_expectations",
    "pandas",
    "sqlalchemy",
    "ibis",
    "duckdb",
    "pyarrow",
    "aiohttp",
    "psutil",
    "numpy",
}


def make_root(folder: Path, checkout: Path) -> Path:
    """A folder that looks like a workspace without state."""
    folder.mkdir(exist_ok=True)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text((checkout / "params.yaml").read_text())
    return folder


def test_help_imports_no_framework(checkout: Path) -> None:
    script = "import sys; from footfall_cli.main import app; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(checkout / "src")}, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("verb", ["demo", "init", "ingest", "quarantine list", "quarantine show", "release list", "release show", "release promote"])
def test_every_verb_has_json(verb: str) -> None:
    assert "--json" in CliRunner().invoke(app, [*verb.split(), "--help"]).output


def test_wrong_use_exits_with_2() -> None:
    assert CliRunner().invoke(app, ["review", "decide", "x", "maybe"]).exit_code == 2


def test_a_refusal_exits_with_1_and_says_what_where_expected_found_next(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--workspace", str(tmp_path)])
    assert done.exit_code == 1
    for part in ("no workspace there", f"where: {tmp_path}", "expected: dvc.yaml", "next: footfall init"):
        assert part in done.stderr


def test_under_json_a_refusal_is_one_document_on_standard_output(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--json", "--workspace", str(tmp_path)])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"] == "WorkspaceError"


def test_status_of_an_empty_workspace_says_that_everything_is_down(tmp_path: Path, checkout: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--json", "--workspace", str(make_root(tmp_path, checkout))])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [process["state"] for process in document["processes"]] == ["down"] * 4
    assert document["store"] == {"state": "none yet"}


def test_doctor_names_a_fault_and_its_mending(tmp_path: Path, checkout: Path) -> None:
    root = make_root(tmp_path, checkout)
    (root / "params.yaml").write_text((checkout / "params.yaml").read_text().replace("test_days", "tset_days"))
    done = CliRunner().invoke(app, ["doctor", "--json", "--workspace", str(root)])
    assert done.exit_code == 1
    (fault,) = [finding for finding in json.loads(done.stdout)["findings"] if not finding["ok"]]
    assert fault["check"] == "params"
    assert "test_days" in fault["next_step"]


def test_doctor_reads_a_log_through_its_mapping_and_refuses_an_unusable_one(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("who,when,what\nann,2021-05-01,a\nbob,soon,b\n")
    mapping = tmp_path / "shop.yaml"
    mapping.write_text("{name: shop, files: log.csv, event_type: view, events: {user_id: who, occurred_at: when, item_id: what}}")
    done = CliRunner().invoke(app, ["doctor", "mapping", str(mapping)])
    assert done.exit_code == 1
    assert "leave_out: [without_time]" in done.output
    mapping.write_text(mapping.read_text().replace("event_type", "leave_out: [without_time], event_type"))
    done = CliRunner().invoke(app, ["doctor", "mapping", "--json", str(mapping)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["lines"][0] == {"what": "rows", "found": "2", "advice": None, "stops": False}


def test_dropping_quarantined_rows_asks_first_and_replaying_says_what_is_left(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_root(tmp_path / "shop", checkout)
    bad = events({"event_id": "e1"}, {"event_id": "e2"}).append_column("reason", pa.array(["unknown_item", "price_negative"]))
    path = Paths(root).quarantine / "rows" / "events" / "shop-2017-03.parquet"
    write_parquet(path, bad)
    verb = ["quarantine", "drop", "shop-2017-03", "--workspace", str(root)]
    assert CliRunner().invoke(app, verb, input="n\n").exit_code == 1
    assert path.exists()
    monkeypatch.setattr("footfall_cli.ingest.run_flow", lambda *_args, **_named: write_parquet(path, bad.slice(1)))
    done = CliRunner().invoke(app, ["quarantine", "replay", "--json", "shop-2017-03", "--workspace", str(root)])
    assert json.loads(done.stdout) == {"batch_id": "shop-2017-03", "accepted": 1, "left": {"price_negative": 1}}
    assert CliRunner().invoke(app, [*verb, "--yes"]).exit_code == 0
    assert not path.exists()


def test_an_error_that_is_not_ours_is_not_swallowed() -> None:
    @reporting
    def verb() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        verb()


def test_the_root_is_the_option_then_the_variable_then_here_then_the_workspace_below(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, named = make_root(tmp_path / "here", checkout), make_root(tmp_path / "named", checkout)
    monkeypatch.chdir(here)
    assert find_root() == here
    (here / ".footfall").mkdir()
    below = make_root(here / ".footfall" / "workspace", checkout)
    assert find_root() == below
    (here / ".footfall" / "store.db").touch()
    assert find_root() == here
    monkeypatch.setenv("FOOTFALL_ROOT", str(named))
    assert find_root() == named
    assert find_root(below) == below


def test_without_any_workspace_the_error_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match="footfall init"):
        find_root()


def test_ports_come_from_the_environment_and_a_wrong_one_is_named() -> None:
    assert production.Ports.from_environment({"FOOTFALL_PORT": "3100"}) == production.Ports(4200, 3100, 8000)
    with pytest.raises(SettingsError, match="FOOTFALL_REPORTS_PORT"):
        production.Ports.from_environment({"FOOTFALL_REPORTS_PORT": "eight"})


def test_every_line_of_the_procfile_is_a_known_process(checkout: Path) -> None:
    lines = dict(line.split(": ", 1) for line in (checkout / "Procfile").read_text().splitlines() if line)
    assert set(lines) == set(production.NAMES)
    for name, line in lines.items():
        assert line == f"python -m footfall_cli.production {name}"
        assert production.command(name, checkout, production.Ports())[1] == "-m"


def test_a_footfall_error_is_the_only_kind_that_is_rendered() -> None:
    assert issubclass(WorkspaceError, FootfallError)
