"""`footfall release shadow|canary|end`: a release is tried beside the champion by a person's word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from footfall.settings import load_settings
from footfall.signing import verify_key
from footfall.store import arms, open_store, releases
from footfall_cli.main import app
from tests.champions import champion_id
from tests.unit.footfall_cli.test_command_line import make_root


def footfall(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


@pytest.fixture
def engine(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A workspace whose champion is r1; r2 and r3 are candidates."""
    root = make_root(tmp_path / "root", checkout)
    monkeypatch.setenv("FOOTFALL_ROOT", str(root))
    engine = open_store(load_settings().store_url)
    for number in (1, 2, 3):
        releases.add(engine, releases.Release(f"r{number}", f"footfall:r{number}", "candidate", *[releases.from_us(number)] * 2))
    releases.promote(engine, "r1")
    yield engine
    engine.dispose()


def held(engine: Engine) -> dict[str, tuple[str, float]]:
    return {arm.arm: (arm.release_id, arm.share) for arm in arms.list_all(engine)}


def test_shadow_and_canary_are_begun_listed_and_ended(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that no cell of the table is broken into lines
    assert "shadow: r2 (since" in footfall("release", "shadow", "r2").output
    assert "canary 0.05: r3 (since" in footfall("release", "canary", "r3", "--share", "0.05").output
    assert held(engine) == {"shadow": ("r2", 1.0), "canary": ("r3", 0.05)}
    lines = {line.split()[1]: line for line in footfall("release", "list").output.splitlines() if "r1" in line or "r2" in line or "r3" in line}
    assert ["canary 0.05" in lines["r3"], "shadow" in lines["r2"], "canary" in lines["r1"] or "shadow" in lines["r1"]] == [True, True, False]
    assert footfall("release", "end", "canary").output == "ended: canary 0.05 r3\n"
    assert held(engine) == {"shadow": ("r2", 1.0)}


def test_programs_are_told_as_json(engine: Engine) -> None:
    said = json.loads(footfall("release", "canary", "r3", "--share", "0.1", "--json").output)
    assert {name: said[name] for name in ("arm", "release_id", "share")} == {"arm": "canary", "release_id": "r3", "share": 0.1}
    assert json.loads(footfall("release", "shadow", "r2", "--json").output)["arm"] == "shadow"
    listed = {one["release_id"]: one["arm"] for one in json.loads(footfall("release", "list", "--json").output)}
    assert (listed["r3"], listed["r1"], listed["r2"]["arm"]) == (said, None, "shadow")
    told = json.loads(footfall("status", "--json").output)["store"]
    assert (told["champion"], told["canary"], told["shadow"]) == ("r1", "r3", "r2")
    assert json.loads(footfall("release", "end", "canary", "--json").output) == said


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("shadow", "r1"), 1, "release cannot be shadow"),
        (("canary", "r9", "--share", "0.05"), 1, "release is unknown"),
        (("canary", "r2", "--share", "1"), 1, "between 0 and 1"),
        (("canary", "r2", "--share", "many"), 2, "valid number"),
        (("canary", "r2"), 2, "--share"),
        (("end", "canary"), 1, "there is no canary"),
        (("end", "champion"), 2, "champion"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(engine: Engine, words: tuple[str, ...], code: int, why: str) -> None:
    done = footfall("release", *words)
    assert (done.exit_code, held(engine)) == (code, {})
    assert why in done.output


@pytest.mark.parametrize("words", [("shadow", "r2"), ("canary", "r2", "--share", "0.05")])
def test_what_the_service_would_refuse_gets_no_arm(engine: Engine, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("FOOTFALL_VERIFY_KEYS", verify_key(b"o" * 32))
    assert footfall("release", *words).exit_code == 1
    assert held(engine) == {}


def test_a_canary_that_is_promoted_is_the_champion_and_nothing_else(engine: Engine) -> None:
    footfall("release", "canary", "r2", "--share", "0.05")
    assert footfall("release", "promote", "r2").exit_code == 0
    assert (champion_id(engine), held(engine)) == ("r2", {})
