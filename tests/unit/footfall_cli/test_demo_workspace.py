from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from footfall.errors import ParamsError, WorkspaceError
from footfall.params import load_params
from footfall.paths import Paths
from footfall_cli.demo_workspace import alone, forget_environment, make_fresh


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def shop(tmp_path: Path, checkout: Path) -> Path:
    """A committed checkout with parameters and a DVC set-up, and nothing else."""
    folder = tmp_path / "shop"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".gitignore").write_text(".footfall/\n.dvc/config.local\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text((checkout / "params.yaml").read_text())
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "First")
    return folder


def test_each_demo_begins_with_nothing_of_the_last_one(shop: Path) -> None:
    root, _ = make_fresh(shop)
    Paths(root).store.write_text("left over")
    (root / "data").mkdir()
    again, _ = make_fresh(shop)
    assert again == root
    assert not Paths(root).store.exists()
    assert not (root / "data").exists()


def test_what_an_interrupted_removal_left_is_removed(shop: Path) -> None:
    half = shop / ".footfall" / ".workspace-to-remove-1"
    half.mkdir(parents=True)
    (half / "file").touch()
    make_fresh(shop)
    assert not half.exists()


def test_a_workspace_that_no_demo_made_is_not_touched(shop: Path) -> None:
    own = Paths(shop).workspace
    own.mkdir(parents=True)
    (own / "precious").touch()
    with pytest.raises(WorkspaceError, match="not made by a demo"):
        make_fresh(shop)
    assert (own / "precious").exists()


def test_the_cache_lives_in_the_workspace_so_that_no_run_is_answered_from_an_older_one(shop: Path) -> None:
    root, _ = make_fresh(shop)
    assert f"dir = {root / '.footfall' / 'cache'}" in (root / ".dvc" / "config.local").read_text()


def test_the_public_key_is_kept_for_its_owner_alone(shop: Path) -> None:
    root, _ = make_fresh(shop)
    assert stat.S_IMODE(Paths(root).key.stat().st_mode) == 0o600


def test_uncommitted_files_are_named_and_left_out(shop: Path) -> None:
    (shop / "draft.py").touch()
    root, left_out = make_fresh(shop)
    assert left_out == ["draft.py"]
    assert not (root / "draft.py").exists()


def test_other_parameters_are_committed_in_the_workspace_alone(shop: Path) -> None:
    root, _ = make_fresh(shop, {"model": {"dim": 16}})
    assert load_params(Paths(root).params).model.dim == 16
    assert load_params(Paths(shop).params).model.dim != 16
    assert git(root, "status", "--porcelain") == ""
    assert git(shop, "status", "--porcelain") == ""


def test_a_misspelt_parameter_is_refused_before_anything_starts(shop: Path) -> None:
    with pytest.raises(ParamsError, match="rename it to 'dim'"):
        make_fresh(shop, {"model": {"dimm": 16}})


def test_two_demos_at_once_are_refused(shop: Path) -> None:
    def another() -> None:
        with alone(shop):
            raise AssertionError("it began")

    with alone(shop), ThreadPoolExecutor(1) as threads, pytest.raises(WorkspaceError, match="another demo runs"):
        threads.submit(another).result()


def test_the_users_own_settings_do_not_reach_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOOTFALL_STORE", "PREFECT_API_URL", "BENTOML_HOME"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("HOME_OF_SOMETHING", "kept")
    forget_environment()
    assert not [name for name in os.environ if name.startswith(("FOOTFALL_", "PREFECT_", "BENTOML_"))]
    assert os.environ["HOME_OF_SOMETHING"] == "kept"
