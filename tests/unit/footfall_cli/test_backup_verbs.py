"""`footfall backup`, `restore` and `retain`, as they are typed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sealing import is_sealed
from footfall.sources import landing
from footfall.store import events, open_store
from footfall_cli.main import app
from tests.unit.rows import day
from tests.unit.rows import events as event_rows


@pytest.fixture
def root(tmp_path: Path, checkout: Path) -> Path:
    """A workspace with a batch of three events, in the store and in data/raw."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text((checkout / "params.yaml").read_text())
    paths, rows = Paths(tmp_path), event_rows({}, {}, {"occurred_at": day(40)})
    batch = landing.land(paths, "events", "shop-2017-03", rows)
    landing.accept(paths, batch, rows, Verdict("shop-2017-03", "events", "pass", 3, {}, []))
    fill(paths)
    return tmp_path


def fill(paths: Paths) -> None:
    engine = open_store(f"sqlite:///{paths.store}")
    events.append(engine, event_rows({}, {}, {"occurred_at": day(40)}))
    engine.dispose()


def count(root: Path) -> int:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    try:
        return events.count(engine)
    finally:
        engine.dispose()


def type_in(root: Path, *words: str, code: int = 0) -> dict[str, object]:
    done = CliRunner().invoke(app, [*words, "--workspace", str(root), "--json"])
    assert done.exit_code == code, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


def test_a_store_is_saved_lost_and_brought_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_ENCRYPTION_KEY", base64.b64encode(b"k" * 32).decode())
    file, store = root / "store.backup", Paths(root).store
    assert type_in(root, "backup", str(file))["tables"]["footfall_events"] == 3  # type: ignore[index]
    assert is_sealed(file)
    store.write_bytes(store.read_bytes()[:9000])

    assert "footfall restore" in str(type_in(root, "restore", str(file), code=1)["next"])
    found = type_in(root, "restore", str(file), "--replace")

    assert found["set_aside"] == f"{store}.damaged-1"
    assert count(root) == 3
    assert type_in(root, "restore", str(file), code=1)["what"] == "store is not empty"


def test_a_lost_store_comes_back_from_raw_batches(root: Path) -> None:
    Paths(root).store.unlink()

    assert type_in(root, "restore", "--from-raw") == {"set_aside": None, "from_raw": {"batches": 1, "events": 3}}
    assert count(root) == 3


def test_a_restore_of_nothing_is_wrong_use(root: Path) -> None:
    assert CliRunner().invoke(app, ["restore", "--workspace", str(root)]).exit_code == 2


def test_old_months_go_once_they_are_asked_to(root: Path) -> None:
    foretold = type_in(root, "retain", "--keep-months", "1", "--dry-run")
    assert (foretold["events"], count(root)) == ({"2017-03": 2, "2017-04": 1}, 3)

    assert type_in(root, "retain", "--keep-months", "1")["events"] == foretold["events"]

    assert count(root) == 0


def test_people_read_what_happened(root: Path) -> None:
    file = str(root / "store.backup")
    said = [
        CliRunner().invoke(app, [*words, "--workspace", str(root)]).output
        for words in (["backup", file], ["restore", file, "--replace", "--from-raw"], ["retain", "--keep-months", "1"])
    ]

    assert "not sealed" in said[0]
    assert "0 events came back from 1 raw batches" in said[1]
    assert "2017-04" in said[2]


def findings(root: Path) -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(app, ["doctor", "--workspace", str(root), "--json"])
    return {finding["check"]: finding for finding in json.loads(done.output)["findings"]}


def test_the_doctor_names_a_damaged_store_a_lost_one_and_a_sound_one(root: Path) -> None:
    store = Paths(root).store
    assert "file checked" in str(findings(root)["live store"]["found"])
    content = store.read_bytes()
    store.write_bytes(content.replace(b"apple", b"peach", 1))

    damaged = findings(root)["store"]
    store.unlink()
    lost = findings(root)["live store"]

    assert (damaged["ok"], lost["ok"], lost["next_step"]) == (False, False, "footfall restore --from-raw")
    assert "--replace" in str(damaged["next_step"])


def test_the_doctor_says_what_is_sealed_and_when_the_key_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(root)
    assert "openssl" in str(findings(root)["encryption"]["next_step"])
    monkeypatch.setenv("FOOTFALL_ENCRYPTION_KEY", base64.b64encode(b"k" * 32).decode())
    landing.hold(paths, landing.land(paths, "events", "shop-2017-05", event_rows({})), Verdict("shop-2017-05", "events", "hold", 1, {}, []))
    assert "1 of 2 files" in str(findings(root)["encryption"]["found"])

    monkeypatch.delenv("FOOTFALL_ENCRYPTION_KEY")

    assert findings(root)["encryption"]["ok"] is False
