"""What a release was made of, and that git and DVC give the very same bytes again."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.versions import cache, lineage, repository
from flows.versions.commands import dvc, git
from footfall.bundle import release_id
from footfall.errors import WorkspaceError
from footfall.manifest import file_digest
from footfall.paths import Paths
from footfall.sources import landing
from footfall.store import open_store, releases
from footfall.store.releases import Release
from footfall.tables import read_parquet
from footfall_cli.main import app
from tests.unit.flows.copied_shop import accept, make_workspace, retrain

OCTOBER, NOVEMBER = datetime(2020, 10, 29, tzinfo=UTC), datetime(2020, 11, 26, tzinfo=UTC)


def record(root: Path, name: str, as_of: datetime) -> Release:
    """The release record as the release flow enters it."""
    digest = hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    figures = {"policies": {"fused": {"ndcg@10": 0.25}}}
    return Release(
        name, "", releases.CANDIDATE, as_of, as_of, repository.revision(root), digest, figures, {"outcome": "promote", "reasons": ["Good."]}
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a release, then one batch more and another release."""
    root = make_workspace(tmp_path_factory.mktemp("traced"))
    first = release_id(Paths(root).bundle)
    repository.tag(root, f"candidate/{first}")
    repository.push(root)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    releases.add(engine, record(root, first, OCTOBER))
    rows = read_parquet(landing.list_batches(Paths(root), "events")[0] / landing.ROWS)
    accept(Paths(root), "events", "shop-2020-06", rows.slice(0, 10))
    repository.set_as_of(root, NOVEMBER)
    retrain(root, "r2")
    releases.add(engine, record(root, "r222222222222", NOVEMBER))
    engine.dispose()
    return root


def traced(root: Path, *arguments: str) -> dict[str, object]:
    """What `footfall trace --json` says; its exit code must be 0."""
    done = CliRunner().invoke(app, ["trace", "--json", "--workspace", str(root), *arguments])
    assert done.exit_code == 0, done.output
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_a_release_names_its_code_data_and_parameters_whatever_came_after(root: Path) -> None:
    first = release_id(Paths(root).bundle)

    found = traced(root, "--release", first)

    assert found["code"]["revision"] == git(root, "rev-list", "-n1", "candidate/r1")  # type: ignore[index]
    assert found["code"]["tags"] == [f"candidate/{first}"]  # type: ignore[index]
    assert found["params"]["data"]["as_of"] == "2017-10-29T00:00:00+00:00"  # type: ignore[index]
    assert (found["lock_agrees"], found["decision"]["outcome"], found["metrics"]["policies"]["fused"]["ndcg@10"]) == (True, "promote", 0.25)  # type: ignore[index]
    batches = {batch["batch_id"]: batch for batch in found["data"]["batches"] if batch["contract"] == "events"}  # type: ignore[index]
    assert sorted(batches) == ["shop-2020-01", "shop-2020-02", "shop-2020-03"]
    for batch_id, batch in batches.items():
        rows = Paths(root).raw / "events" / batch_id / landing.ROWS
        assert batch["rows"] == read_parquet(rows).num_rows
        assert batch["sha256"] == file_digest(rows)
        assert batch["md5"] == hashlib.md5(rows.read_bytes()).hexdigest()
    later = traced(root, "--release", "r222222222222")
    assert len(later["data"]["batches"]) == 6  # type: ignore[index]
    assert later["params"]["data"]["as_of"] == NOVEMBER.isoformat()  # type: ignore[index]


def test_its_tag_in_a_clone_elsewhere_gives_the_recorded_bytes_and_so_does_making_them_again(root: Path, tmp_path: Path) -> None:
    found = traced(root, "--release", release_id(Paths(root).bundle))
    clone = tmp_path / "elsewhere"
    git(tmp_path, "clone", "--quiet", str(root), str(clone))
    git(clone, "checkout", "--quiet", found["code"]["tags"][0])  # type: ignore[index]
    dvc(clone, "remote", "add", "--local", "--default", "there", str(Paths(root).remote))
    dvc(clone, "pull", "--quiet")

    digests = {batch["sha256"] for batch in found["data"]["batches"]}  # type: ignore[index]
    assert {file_digest(path) for path in (clone / "data" / "raw").rglob(landing.ROWS)} == digests
    assert {name: digest for name, (digest, _) in cache.recorded(clone).items() if name != cache.RAW} == found["data"]["outputs"]  # type: ignore[index]
    for name, (digest, _) in cache.recorded(clone).items():
        for relative, md5 in (cache.listing(cache.cache_folder(clone), digest) or {}).items():
            assert hashlib.md5((clone / name / relative).read_bytes()).hexdigest() == md5

    before = (clone / "dvc.lock").read_bytes()
    dvc(clone, "repro", "--force", "--quiet")
    assert (clone / "dvc.lock").read_bytes() == before


def test_what_the_cache_no_longer_holds_is_said_and_the_rest_is_traced(root: Path) -> None:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    release = releases.get(engine, "r222222222222")
    engine.dispose()
    folder = cache.cache_folder(root)
    aside = shutil.move(folder, folder.with_name("aside"))
    try:
        found = lineage.trace(root, release)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(aside, folder)

    assert found.data["batches"] is None
    assert str(found.data["raw"]).endswith(".dir")


def test_an_unknown_release_and_an_unknown_commit_are_errors_with_a_next_move(root: Path) -> None:
    done = CliRunner().invoke(app, ["trace", "--json", "--workspace", str(root), "--release", "r000000000000"])
    assert (done.exit_code, json.loads(done.stdout)["next"]) == (1, "footfall release list")

    with pytest.raises(WorkspaceError, match="git fetch"):
        lineage.trace(root, Release("r3", "", releases.CANDIDATE, OCTOBER, OCTOBER, git_revision="0" * 40))


def test_a_lock_that_is_not_the_recorded_one_is_told(root: Path) -> None:
    release = record(root, "r3", OCTOBER)

    assert lineage.trace(root, release).lock_agrees
    other = Release(**{**release.__dict__, "dvc_lock_digest": "0" * 64})
    assert not lineage.trace(root, other).lock_agrees


def test_people_read_the_same_as_tables(root: Path) -> None:
    said = CliRunner().invoke(app, ["trace", "--workspace", str(root), "--release", "r222222222222"]).output

    for word in ("shop-2020-06", "data.as_of", "promote", "ndcg@10 0.2500", git(root, "rev-list", "-n1", "candidate/r2")):
        assert word in said
