"""The retrain flow in a real workspace; what DVC would compute is a bundle made by hand, and the gate's evidence is told."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos import build as bento_build
from bentos import registry
from flows import release as release_flow
from flows import retrain as retrain_flow
from flows.retrain import retrain
from flows.versions import repository, workspace
from flows.versions.commands import git
from footfall import judging
from footfall.bundle import open_bundle
from footfall.bundle_folder import signature_path
from footfall.errors import SignatureError, WorkspaceError
from footfall.manifest import write_manifest
from footfall.params import load_params
from footfall.paths import Paths
from footfall.signing import VerifyKeys, verify_key, verify_keys_in
from footfall.store import open_store, releases
from tests.unit.footfall.small_shop import make_bundle_by_hand

OCTOBER, NOVEMBER = datetime(2017, 10, 29, tzinfo=UTC), datetime(2017, 11, 26, tzinfo=UTC)


@pytest.fixture
def production(root: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one accepted batch, cloned from a small checkout."""
    small = root / "checkout"
    (small / ".dvc").mkdir(parents=True)
    (small / "reports").mkdir()
    (small / "reports" / "README.md").write_text("Small reports.")
    for name in ("params.yaml", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (small / name).write_bytes((checkout / name).read_bytes())
    (small / "dvc.yaml").write_text("stages: {}\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=small, check=True)
    made = workspace.init(small, root / "workspace").root
    monkeypatch.setenv("FOOTFALL_ROOT", str(made))
    monkeypatch.setenv("BENTOML_HOME", str(Paths(made).bentoml_home))
    batch = Paths(made).raw / "events" / "shop-2017-10"
    batch.mkdir(parents=True)
    (batch / "rows.parquet").write_text("rows")
    write_manifest(batch)
    monkeypatch.setattr(bento_build, "build", lambda _root, tag: f"{tag}-built")
    monkeypatch.setattr(repository, "repro", _make_bundle)
    return made


def _make_bundle(root: Path, *, on_line: Callable[[str], None], **_: object) -> None:
    """What `dvc repro` leaves behind, in small: a bundle of this `as_of`, its lock and its metrics."""
    as_of = load_params(root / "params.yaml").data.as_of
    on_line("Running stage 'bundle':")
    make_bundle_by_hand(Paths(root).bundle, logits=np.full(5, as_of.timestamp()), as_of=as_of.isoformat())
    (root / "dvc.lock").write_text(f"schema: '2.0'\nstages: {{}}  # {as_of.isoformat()}\n")
    Paths(root).metrics_report.write_text(json.dumps({"policies": {}}))


def _evidence(*, low: float) -> Callable[..., dict[str, Any]]:
    """What `judging.judge` would say when the paired interval begins at `low`."""

    def judge(
        champion: Path | None, challenger: Path, tables: Path, params: object, verify_keys: VerifyKeys, metrics: dict[str, Any]
    ) -> dict[str, Any]:
        assert metrics["policies"] == {}  # those of the bundle that is judged
        if champion is not None:
            open_bundle(champion, verify_keys)
        overall = {"users": 500, "challenger": 0.2, "champion": 0.2, "difference": 0.0, "interval": [low, 0.01]}
        sides = {"challenger": {"as_of": "later"}, "champion": None if champion is None else {"as_of": "earlier"}}
        return {"k": 10, "checks": [], "overall": overall, "slices": {}, "fresher": True} | sides

    return judge


def _releases(root: Path) -> dict[datetime, releases.Release]:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    try:
        return {release.as_of: release for release in releases.list_all(engine)}
    finally:
        engine.dispose()


def test_a_retrain_is_committed_released_and_done_once(production: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "judge", _evidence(low=0.0))
    first = retrain(as_of=OCTOBER, reason="first training")
    assert first["status"] == "promoted"
    release = _releases(production)[OCTOBER]
    assert (release.state, release.bento_tag) == ("champion", f"footfall:{release.release_id}-built")
    assert release.git_revision == git(production, "rev-list", "-n1", f"candidate/{release.release_id}")
    assert set(git(production, "tag").split()) == {f"candidate/{release.release_id}", f"release/{release.release_id}"}
    assert json.loads((Paths(production).decisions / f"{release.release_id}.json").read_text())["outcome"] == "promote"
    assert repository.is_clean(production)
    assert "Reason: first training" in git(production, "log", "--format=%B")

    head = repository.revision(production)
    again = retrain(as_of=OCTOBER, reason="again")
    assert (again["status"], repository.revision(production)) == ("coalesced", head)

    monkeypatch.setattr(judging, "judge", _evidence(low=-0.1))
    second = retrain(as_of=NOVEMBER, reason="drift")
    assert second["status"] == "refused"
    states = {as_of: known.state for as_of, known in _releases(production).items()}
    assert states == {OCTOBER: "champion", NOVEMBER: "refused"}
    assert f"release/{second['release_id']}" not in git(production, "tag").split()
    assert repository.is_clean(production)


def test_a_failed_retrain_is_undone_and_an_interrupted_one_by_the_next(production: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "judge", _evidence(low=0.0))

    def fail(root: Path, **_: object) -> None:
        (root / "dvc.lock").write_text("half")
        raise WorkspaceError("dvc repro failed")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "repro", fail)
        with pytest.raises(WorkspaceError, match="dvc repro failed"):
            retrain(as_of=NOVEMBER)
    assert repository.is_clean(production)
    assert load_params(production / "params.yaml").data.as_of == OCTOBER
    assert (Paths(production).raw / "events" / "shop-2017-10" / "rows.parquet").exists()

    repository.set_as_of(production, datetime(2017, 12, 1, tzinfo=UTC))  # what a kill -9 would leave
    (production / "dvc.lock").write_text("half")
    assert retrain(as_of=NOVEMBER)["status"] == "promoted"
    assert load_params(production / "params.yaml").data.as_of == NOVEMBER


def test_a_run_that_cannot_be_pushed_stands_and_the_next_one_pushes_for_both(production: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "judge", _evidence(low=0.0))
    monkeypatch.setattr(retrain_flow, "push", retrain_flow.push.with_options(retries=0))
    remote = Paths(production).remote
    remote.write_text("no folder")

    first = retrain(as_of=OCTOBER)

    assert (first["status"], first["pushed"]) == ("promoted", None)
    assert repository.is_clean(production)
    assert _releases(production)[OCTOBER].state == "champion"

    remote.unlink()
    second = retrain(as_of=NOVEMBER)

    assert second["pushed"] == ["dvc"]
    assert not Paths(production).push_owed.exists()
    assert "rows" in {path.read_text() for path in remote.rglob("*") if path.is_file()}


def test_a_damaged_bundle_is_refused_with_its_fault_as_the_reason(production: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(root: Path, **other: Any) -> None:
        _make_bundle(root, **other)
        weights = Paths(root).bundle / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)

    monkeypatch.setattr(repository, "repro", damaged)
    done = retrain(as_of=OCTOBER)
    assert done["status"] == "refused"
    assert any("damaged" in reason for reason in done["decision"]["reasons"])
    assert _releases(production)[OCTOBER].state == "refused"


def test_what_the_gate_lets_through_is_signed_and_what_it_refuses_is_not(production: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = b"k" * 32
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", base64.b64encode(key).decode())
    monkeypatch.setenv("FOOTFALL_VERIFY_KEYS", verify_key(key))
    signed = {}
    for as_of, low in ((OCTOBER, 0.0), (NOVEMBER, -0.1)):
        monkeypatch.setattr(judging, "judge", _evidence(low=low))
        done = retrain(as_of=as_of, reason="signing")
        folder = registry.bundle_path(_releases(production)[as_of].model_tag)
        signed[done["status"]] = signature_path(folder).exists()
    assert signed == {"promoted": True, "refused": False}
    open_bundle(registry.bundle_path(_releases(production)[OCTOBER].model_tag), verify_keys_in())


def test_beside_an_unsigned_champion_nothing_is_decided_until_it_is_signed(production: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "judge", _evidence(low=0.0))
    assert retrain(as_of=OCTOBER, reason="before there was a key")["status"] == "promoted"
    key = b"k" * 32
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", base64.b64encode(key).decode())
    monkeypatch.setenv("FOOTFALL_VERIFY_KEYS", verify_key(key))
    with pytest.raises(SignatureError, match="not signed"):
        retrain(as_of=NOVEMBER, reason="a key")
    assert {as_of: known.state for as_of, known in _releases(production).items()} == {OCTOBER: "champion", NOVEMBER: "candidate"}
    registry.vouch(_releases(production)[OCTOBER], key, ())
    assert release_flow.release()["outcome"] == "promote"
    assert _releases(production)[NOVEMBER].state == "champion"


def test_nothing_runs_outside_a_workspace(root: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_ROOT", str(checkout))
    with pytest.raises(WorkspaceError, match="footfall init"):
        retrain(as_of=OCTOBER)
