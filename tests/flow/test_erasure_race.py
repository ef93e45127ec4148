"""A user is erased while a retrain is at work: it stops, lets the erasure through and trains without them; nothing made with them is promoted."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos import build as bento_build
from flows import certificates, erasing
from flows.retrain import retrain
from flows.versions import repository
from flows.versions.commands import git
from footfall import judging
from footfall.contracts import C
from footfall.documents import ErasureCertificate
from footfall.params import load_params
from footfall.paths import Paths
from footfall.settings import Settings
from footfall.store import erasures, open_store, releases
from footfall.tables import read_parquet
from tests.unit.flows import small_workspace as small
from tests.unit.flows.small_workspace import settings_of, traces, user
from tests.unit.footfall.small_shop import make_bundle_by_hand

MARCH = datetime(2018, 3, 1, tzinfo=UTC)
WAITING = """
import time
if sys.argv[1] == "tables" and Path("hold").exists():
    Path("running").touch()
    while Path("hold").exists():
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.make(tmp_path_factory.mktemp("template"))


@pytest.fixture
def production(root: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A workspace whose stage `events` waits as long as there is a file `hold`; its bundle tells the number of events it was made of."""
    made = small.copy(template, root)
    (made / "make.py").write_text(small.MAKE.replace("import sys\nfrom pathlib import Path\n", f"import sys\nfrom pathlib import Path\n{WAITING}"))
    monkeypatch.setenv("FOOTFALL_ROOT", str(made))
    monkeypatch.setenv("BENTOML_HOME", str(Paths(made).bentoml_home))
    monkeypatch.setattr(bento_build, "build", lambda _root, tag: f"{tag}-built")
    monkeypatch.setattr(judging, "judge", _evidence)
    real = repository.repro

    def repro(folder: Path, **options: Any) -> None:
        with (folder / "attempts").open("a") as attempts:
            attempts.write(".")
        real(folder, **options)
        rows = read_parquet(Paths(folder).tables / "events.parquet").num_rows
        as_of = load_params(folder / "params.yaml").data.as_of
        make_bundle_by_hand(Paths(folder).bundle, logits=np.full(5, rows), as_of=as_of.isoformat())
        Paths(folder).metrics_report.write_text(json.dumps({"policies": {}}))

    monkeypatch.setattr(repository, "repro", repro)
    settings = settings_of(made, f"sqlite:///{Paths(made).store}")
    engine = open_store(settings.store_url)
    small.fill_store(engine)
    engine.dispose()
    return settings


def _evidence(champion: Path | None, challenger: Path, tables: Path, params: object, *_: object) -> dict[str, Any]:
    overall = {"users": 500, "challenger": 0.2, "champion": 0.2, "difference": 0.0, "interval": [0.0, 0.01]}
    sides = {"challenger": {"as_of": "later"}, "champion": None if champion is None else {"as_of": "earlier"}}
    return {"k": 10, "checks": [], "overall": overall, "slices": {}, "fresher": True} | sides


def _known(settings: Settings) -> dict[str, releases.Release]:
    engine = open_store(settings.store_url)
    try:
        return {known.release_id: known for known in releases.list_all(engine)}
    finally:
        engine.dispose()


def _erase_once_it_runs(settings: Settings, name: str, certificates: list[ErasureCertificate]) -> None:
    deadline = time.monotonic() + 120
    while not (settings.root / "running").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        certificates += erasing.erase(settings, [name], wait_s=60)
    finally:
        (settings.root / "hold").unlink()


@pytest.mark.trial
def test_a_retrain_that_an_erasure_overtakes_stops_and_trains_without_the_user(production: Settings, trial: Any) -> None:
    rounds, root, slowest = trial.count(small=1, stated=10), production.root, 0.0
    for number in range(rounds):
        (root / "running").unlink(missing_ok=True)
        (root / "hold").touch()
        certificates: list[ErasureCertificate] = []
        eraser = threading.Thread(target=_erase_once_it_runs, args=(production, user(number), certificates))
        eraser.start()
        done = retrain(as_of=MARCH + timedelta(days=number), reason=f"round {number}")
        eraser.join()

        assert done["status"] == "promoted"
        assert (root / "attempts").stat().st_size == 2 * (number + 1)
        (certificate,) = certificates
        assert certificate.seconds is not None
        assert certificate.seconds < 60
        assert traces(root, user(number)) == []
        users = read_parquet(production.paths.tables / "events.parquet").column(C.USER_ID).unique().to_pylist()
        assert set(users) == {user(n) for n in range(number + 1, small.USERS_HERE)}
        assert len(_known(production)) == number + 1  # the overtaken run came to no release
        assert git(root, "show", "HEAD:data/raw.dvc") == (root / "data" / "raw.dvc").read_text().rstrip("\n")
        assert repository.is_clean(root)
        slowest = max(slowest, certificate.seconds)
    trial.note(rounds=rounds, released_with_the_user=0, slowest_s=slowest)


def test_a_user_who_is_erased_while_the_gate_judges_keeps_the_release_from_being_promoted(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "WAIT_S", 1.0)
    asked: list[str] = []

    def judge(*arguments: Any) -> dict[str, Any]:
        if not asked:  # what the HTTP door does: the store at once, the files by whoever comes next
            engine = open_store(production.store_url)
            asked.append(erasures.begin(engine, user(0), datetime.now(UTC))[0].erasure_id)
            engine.dispose()
        return _evidence(*arguments)

    monkeypatch.setattr(judging, "judge", judge)
    done = retrain(as_of=MARCH, reason="judged meanwhile")
    assert done["status"] == "promoted"
    states = {known.release_id: known.state for known in _known(production).values()}
    assert len(states) == 2
    assert states.pop(done["release_id"]) == releases.CHAMPION
    assert list(states.values()) == [releases.CANDIDATE]
    assert traces(production.root, user(0)) == []
    certificate = ErasureCertificate.from_json(certificates.path_of(production.paths, asked[0]).read_text())
    assert {release["release_id"] for release in certificate.releases} == {"r0", "r1", *states}
