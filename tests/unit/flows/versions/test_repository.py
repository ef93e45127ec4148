"""A workspace's git and DVC, on a checkout of a few lines."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.__main__ import SCHEMA
from flows.versions import repository, workspace
from flows.versions.commands import dvc, git
from footfall.documents import Verdict
from footfall.errors import HoldError, ParamsError, WorkspaceError
from footfall.params import load_params
from footfall.paths import Paths

ROOT = Path(__file__).parents[4]
NOVEMBER = datetime(2017, 11, 26, tzinfo=UTC)
DVC_YAML = """
stages:
  count:
    cmd: cat data/raw/*.txt | wc -l > data/count.txt && cp data/count.txt reports/count.json
    deps: [data/raw]
    params: [data.as_of]
    outs: [data/count.txt]
    metrics: [{reports/count.json: {cache: false}}]
"""


def _commit_all(root: Path) -> None:
    for command in (["add", "-A"], ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "Begin"]):
        subprocess.run(["git", *command], cwd=root, check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean checkout with one stage and this project's params.yaml and DVC settings."""
    root = tmp_path / "checkout"
    (root / ".dvc").mkdir(parents=True)
    (root / "reports").mkdir()
    (root / "reports" / "README.md").write_text("Small reports.")
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(ROOT / ".gitignore", root)
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, root / ".dvc")
    (root / "dvc.yaml").write_text(DVC_YAML)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    _commit_all(root)
    return root


@pytest.fixture
def production(checkout: Path) -> Path:
    """A workspace of that checkout."""
    return workspace.init(checkout, checkout / ".footfall" / "workspace").root


def _land(root: Path, name: str, text: str) -> None:
    raw = Paths(root).raw
    raw.mkdir(parents=True, exist_ok=True)
    (raw / name).write_text(text)


def test_a_dirty_checkout_is_refused_naming_the_files(checkout: Path) -> None:
    (checkout / "dvc.yaml").write_text("stages: {}")
    (checkout / "new.py").write_text("")
    with pytest.raises(WorkspaceError, match=r"dvc.yaml, new.py"):
        workspace.init(checkout, checkout / ".footfall" / "workspace")
    made = workspace.init(checkout, checkout / ".footfall" / "workspace", allow_dirty=True)
    assert made.left_out == ["dvc.yaml", "new.py"]
    assert "count" in (made.root / "dvc.yaml").read_text()


def test_init_clones_the_committed_head_once_and_leaves_the_checkout_alone(checkout: Path) -> None:
    target = checkout / ".footfall" / "workspace"
    half = target.with_name(".workspace.half-cloned")
    half.mkdir(parents=True)
    (half / "left").write_text("by a killed clone")
    before = {path: path.read_bytes() for path in (checkout / ".git").rglob("*") if path.is_file() and path.name != "index"}
    first, second = workspace.init(checkout, target), workspace.init(checkout, target)
    assert (first.created, second.created) == (True, False)
    assert first.revision == second.revision == git(checkout, "rev-parse", "HEAD")
    assert git(target, "symbolic-ref", "--short", "HEAD") == "production"
    assert not half.exists()
    assert {path: path.read_bytes() for path in before} == before
    assert str(Paths(checkout).cache) in (target / ".dvc" / "config.local").read_text()


def test_init_touches_no_folder_that_holds_something_else(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    (other / "one.jpg").write_text("x")
    with pytest.raises(WorkspaceError, match="holds something else"):
        workspace.init(checkout, other)
    assert (other / "one.jpg").exists()


def test_the_date_is_one_edited_line_and_comments_stay(checkout: Path) -> None:
    path = checkout / "params.yaml"
    before = path.read_text().splitlines()
    repository.set_as_of(checkout, NOVEMBER)
    after = path.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0][1] == changed[0][0].replace("2017-10-29", "2017-11-26")
    assert load_params(path).data.as_of == NOVEMBER


def test_a_second_as_of_line_is_refused(checkout: Path) -> None:
    path = checkout / "params.yaml"
    path.write_text(path.read_text() + "\nother:\n  as_of: 2017-01-01\n")
    with pytest.raises(ParamsError, match="cannot date"):
        repository.set_as_of(checkout, NOVEMBER)


def test_a_retrain_is_committed_tagged_and_undone(production: Path) -> None:
    with pytest.raises(WorkspaceError, match="no batch has been accepted"):
        repository.dvc_add_raw(production)
    _land(production, "a.txt", "1\n2\n")
    repository.dvc_add_raw(production)
    repository.repro(production)
    commit = repository.commit_candidate(production, "Train to 2017-10-29")
    repository.tag(production, "candidate/r1")
    assert git(production, "rev-list", "-n1", "candidate/r1") == commit
    assert set(git(production, "show", "--name-only", "--format=").split()) == {"data/raw.dvc", "dvc.lock", "reports/count.json"}
    assert repository.commit_candidate(production, "Again") == commit  # a second run does nothing twice

    _land(production, "b.txt", "3\n")
    repository.dvc_add_raw(production)
    repository.set_as_of(production, NOVEMBER)
    repository.repro(production)
    assert (production / "data" / "count.txt").read_text().strip() == "3"
    assert not repository.is_clean(production)
    repository.undo(production)
    assert repository.is_clean(production)
    assert (production / "data" / "count.txt").read_text().strip() == "2"
    assert load_params(production / "params.yaml").data.as_of != NOVEMBER
    assert (production / "data" / "raw" / "b.txt").exists()  # accepted batches are not the run's to take back


def test_a_failed_stage_shows_its_last_lines_and_a_hold_is_named(production: Path) -> None:
    _land(production, "a.txt", "1\n")
    repository.dvc_add_raw(production)
    (production / "dvc.yaml").write_text("stages: {bad: {cmd: echo the reason; exit 3, outs: [data/x]}}")
    with pytest.raises(WorkspaceError, match="the reason"):
        repository.repro(production)
    held = Verdict("tables", "events", "hold", 1, {}, [{"rule": "not_empty", "ok": False}], "footfall quarantine list")
    passed = Verdict("tables", "users", "pass", 1, {}, [{"rule": "not_empty", "ok": True}], None)
    report = {"schema": SCHEMA, "outcome": "hold", "tables": {"users": passed.as_dict(), "events": held.as_dict()}}
    (production / "verdict.json").write_text(json.dumps(report))
    (production / "dvc.yaml").write_text("stages: {validate: {cmd: cp verdict.json reports/validation.json; exit 1, outs: [data/x]}}")
    with pytest.raises(HoldError, match="not_empty"):
        repository.repro(production)
    (production / "verdict.json").write_text(json.dumps(report | {"outcome": "pass", "tables": {"users": passed.as_dict()}}))
    (production / "dvc.yaml").write_text(
        "stages: {validate: {cmd: cp verdict.json reports/validation.json; echo a later stage; exit 1, outs: [data/x]}}"
    )
    with pytest.raises(WorkspaceError, match="a later stage"):  # the tables passed; something after them failed
        repository.repro(production)


def test_push_goes_only_where_somebody_set_a_remote(production: Path, tmp_path: Path) -> None:
    assert repository.push(production) == ["dvc"]  # the default: a folder below .footfall
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "hub.git")], check=True)
    git(production, "remote", "add", "hub", str(tmp_path / "hub.git"))
    repository.tag(production, "release/r1")
    assert repository.push(production) == ["dvc", "hub"]
    assert git(tmp_path / "hub.git", "tag") == "release/r1"


def _train(root: Path, name: str, text: str, *, reproduce: bool = False) -> None:
    """A retrain in small: one batch more, a commit and its tag."""
    _land(root, f"{name}.txt", text)
    repository.dvc_add_raw(root)
    if reproduce:
        repository.repro(root)
    repository.commit_candidate(root, f"Train {name}")
    repository.tag(root, f"candidate/{name}")


def test_a_clone_elsewhere_pulls_the_recorded_bytes_from_the_default_remote(production: Path, tmp_path: Path) -> None:
    _train(production, "r1", "1\n2\n", reproduce=True)
    assert repository.push(production) == ["dvc"]
    _train(production, "r2", "3\n")

    clone = tmp_path / "elsewhere"
    git(tmp_path, "clone", "--quiet", str(production), str(clone))
    git(clone, "checkout", "--quiet", "candidate/r1")
    dvc(clone, "remote", "add", "--local", "--default", "there", str(Paths(production).remote))
    dvc(clone, "pull", "--quiet")

    assert {path.name: path.read_text() for path in (clone / "data" / "raw").iterdir()} == {"r1.txt": "1\n2\n"}
    assert (clone / "data" / "count.txt").read_text().strip() == "2"


def test_a_push_that_failed_is_made_good_by_the_next_one(production: Path) -> None:
    remote = Paths(production).remote
    remote.parent.mkdir(parents=True, exist_ok=True)
    remote.write_text("no folder")
    _train(production, "r1", "1\n2\n")
    with pytest.raises(WorkspaceError, match="dvc push failed"):
        repository.push(production)
    remote.unlink()
    (production / "data" / "raw" / "r1.txt").unlink()  # so that HEAD alone would no longer bring it
    _train(production, "r2", "3\n")

    assert repository.push(production) == ["dvc"]

    kept = {path.read_text() for path in remote.rglob("*") if path.is_file()}
    assert {"1\n2\n", "3\n"} <= kept
    assert not Paths(production).push_owed.exists()


def test_data_that_an_old_tag_names_and_nobody_has_does_not_owe_a_push_for_ever(production: Path, checkout: Path) -> None:
    _train(production, "r1", "1\n2\n")
    shutil.rmtree(Paths(checkout).cache)
    (production / "data" / "raw" / "r1.txt").unlink()
    _train(production, "r2", "3\n")
    Paths(production).push_owed.touch()

    assert repository.push(production) == ["dvc"]
    assert not Paths(production).push_owed.exists()


def test_a_remote_that_somebody_configured_stays_and_another_one_is_set_by_its_url(checkout: Path, tmp_path: Path) -> None:
    made = workspace.init(checkout, tmp_path / "one", remote=str(tmp_path / "disk")).root
    workspace.init(checkout, made)
    assert f"url = {tmp_path / 'disk'}\n" in (made / ".dvc" / "config.local").read_text()
    other = workspace.init(checkout, tmp_path / "two", remote="s3://bucket/footfall").root
    assert "url = s3://bucket/footfall\n" in (other / ".dvc" / "config.local").read_text()
