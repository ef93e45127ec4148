"""`footfall consent`: a word of a user, recorded with its source; the raw id is written nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footfall.paths import Paths
from footfall.pseudonyms import pseudonym, read_key
from footfall.store import consent, open_store
from footfall_cli.main import app

RAW = "customer-4711"


@pytest.fixture
def root(tmp_path: Path, checkout: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text((checkout / "params.yaml").read_text())
    return tmp_path


def ask(root: Path, *words: str, given: str | None = None) -> str:
    done = CliRunner().invoke(app, ["consent", *words, "--workspace", str(root)], input=given)
    assert done.exit_code == 0, done.output
    assert RAW not in done.output
    return done.output


def test_a_refusal_is_recorded_with_its_source_and_can_be_taken_back(root: Path) -> None:
    assert "nothing on record" in ask(root, RAW)
    assert "2 of 2 recorded" in ask(root, RAW, "--personalise", "no", "--analyse", "yes", "--source", "support")
    engine = open_store(f"sqlite:///{Paths(root).store}")
    user = pseudonym(RAW, read_key(Paths(root).key))
    assert [(word.purpose, word.granted, word.source) for word in consent.words(engine, user)] == [
        ("analyse", True, "support"),
        ("personalise", False, "support"),
    ]
    found = json.loads(ask(root, "-", "--personalise", "yes", "--json", given=f"{RAW}\n"))
    assert found["recorded"] == 1
    assert [(word["purpose"], word["granted"], word["source"]) for word in found["consent"]] == [
        ("analyse", True, "support"),
        ("personalise", True, "command"),
    ]
    assert consent.refusals(engine, "personalise") == set()
    engine.dispose()
    assert not any(RAW.encode() in path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_an_empty_id_is_wrong_use(root: Path) -> None:
    assert CliRunner().invoke(app, ["consent", "-", "--workspace", str(root)], input="\n").exit_code == 2
