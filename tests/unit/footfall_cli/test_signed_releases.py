"""`footfall release` with a signing key: what is promoted is signed, and what the service would refuse is not promoted."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from bentos import registry
from footfall.bundle import bundle_digest, open_bundle
from footfall.bundle_folder import signature_path
from footfall.settings import load_settings
from footfall.signing import verify_key, verify_keys_in
from footfall.store import open_store, releases
from footfall_cli.main import app
from tests.champions import champion_id
from tests.unit.footfall.small_shop import make_bundle_by_hand
from tests.unit.footfall_cli.test_command_line import make_root

OURS, THEIRS = b"o" * 32, b"t" * 32


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def release(*words: str) -> Result:
    return CliRunner().invoke(app, ["release", *words])


@pytest.fixture
def engine(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A workspace with two candidates, r1 and r2, in its stores."""
    root = make_root(tmp_path / "root", checkout)
    monkeypatch.setenv("FOOTFALL_ROOT", str(root))
    for name in ("BENTOML_HOME", "FOOTFALL_STORE", "FOOTFALL_SIGNING_KEY", "FOOTFALL_VERIFY_KEYS"):
        monkeypatch.delenv(name, raising=False)
    engine = open_store(load_settings().store_url)
    for number in (1, 2):
        bundle = make_bundle_by_hand(root / f"bundle{number}", logits=np.full(5, float(number)))
        tag = registry.register(bundle, f"r{number}", {})
        made = releases.Release(f"r{number}", tag, "candidate", *[releases.from_us(number)] * 2)
        releases.add(engine, replace(made, metrics={"bundle_digest": bundle_digest(bundle)}))
    yield engine
    engine.dispose()


def folder(number: int) -> Path:
    return registry.bundle_path(f"footfall:r{number}")


def test_without_a_key_nothing_is_signed(engine: Engine) -> None:
    assert release("promote", "r1").exit_code == 0
    assert not signature_path(folder(1)).exists()
    assert release("sign", "r1").exit_code == release("verify-key").exit_code == 1


def test_what_is_promoted_is_signed_first(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", text(OURS))
    public = json.loads(release("verify-key", "--json").output)["verify_key"]
    monkeypatch.setenv("FOOTFALL_VERIFY_KEYS", public)
    assert release("promote", "r1").exit_code == 0
    assert champion_id(engine) == "r1"
    open_bundle(folder(1), verify_keys_in())
    assert text(OURS) not in release("verify-key").output


def test_what_the_service_would_refuse_is_neither_promoted_nor_rolled_back_to(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert release("promote", "r1").exit_code == 0
    monkeypatch.setenv("FOOTFALL_VERIFY_KEYS", verify_key(OURS))
    done = release("promote", "r2")
    assert (done.exit_code, champion_id(engine)) == (1, "r1")
    assert "not signed" in done.output
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", text(THEIRS))
    assert "foreign key" in release("promote", "r2").output
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", text(OURS))
    assert release("promote", "r2").exit_code == 0
    monkeypatch.delenv("FOOTFALL_SIGNING_KEY")
    assert release("rollback").exit_code == 1
    assert champion_id(engine) == "r2"
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", text(OURS))
    assert release("sign", "r1").exit_code == 0
    monkeypatch.delenv("FOOTFALL_SIGNING_KEY")
    assert release("rollback").exit_code == 0
    assert champion_id(engine) == "r1"


def test_a_bundle_that_was_swapped_after_it_was_judged_is_not_signed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", text(OURS))
    for path in folder(2).iterdir():
        (folder(1) / path.name).write_bytes(path.read_bytes())
    done = release("promote", "r1")
    assert (done.exit_code, champion_id(engine)) == (1, None)
    assert "another bundle lies there" in done.output
    assert not signature_path(folder(1)).exists()


def test_a_key_that_is_none_is_said_and_not_repeated(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_SIGNING_KEY", "hushhush")
    done = release("promote", "r1")
    assert done.exit_code == 1
    assert "hushhush" not in done.output
    assert champion_id(engine) is None
