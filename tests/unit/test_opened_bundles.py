"""Whoever opens a bundle that others may have put there asks for signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bentos import registry
from flows.monitor import vocabulary_of
from footfall.bundle import release_id
from footfall.errors import SignatureError
from footfall.signing import VERIFY, verify_key
from footfall.store.releases import Release
from tests.unit.footfall.small_shop import make_bundle_by_hand

ROOT = Path(__file__).resolve().parents[2]
OPENING = ("open_bundle", "Recommender.open")
OWN = ("paths.bundle",)
"""What a workspace made itself: it is signed once the gate has let it through."""


def openings(source: str) -> Iterator[ast.Call]:
    """Calls that open a bundle, `partial` of one too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            named = [ast.unparse(node.func), *(ast.unparse(node.args[0]) for _ in node.args[:1] if ast.unparse(node.func) == "partial")]
            if named[-1] in OPENING:
                yield node


def asks(call: ast.Call) -> bool:
    """Whether a call opens a workspace's own bundle, or says who must have signed."""
    return len(call.args) > 1 or any(word.arg == "verify_keys" for word in call.keywords) or ast.unparse(call.args[0]) in OWN


def test_a_call_without_keys_is_found() -> None:
    (call,) = openings("x = partial(Recommender.open, streaming=True)")
    assert not asks(call)
    (call,) = openings("open_bundle(registry.bundle_path(tag)).vocabulary")
    assert not asks(call)


@pytest.mark.parametrize("folder", ["flows", "bentos", "monitoring", "src/footfall_cli", "src/footfall/judging.py"])
def test_what_came_from_elsewhere_is_opened_with_the_keys_that_are_trusted(folder: str) -> None:
    files = [ROOT / folder] if folder.endswith(".py") else sorted((ROOT / folder).rglob("*.py"))
    calls = [(path.name, call) for path in files for call in openings(path.read_text(encoding="utf-8"))]
    assert [f"{name}:{call.lineno}" for name, call in calls if not asks(call)] == []
    assert calls or folder == "monitoring"


def test_the_monitor_looks_at_no_champion_that_is_not_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(VERIFY, raising=False)
    bundle, moment, key = make_bundle_by_hand(tmp_path / "bundle"), datetime(2020, 6, 1, tzinfo=UTC), b"o" * 32
    champion = Release(release_id(bundle), registry.register(bundle, release_id(bundle), {}), "champion", moment, moment)
    known = vocabulary_of(champion)
    monkeypatch.setenv(VERIFY, verify_key(key))
    with pytest.raises(SignatureError, match="not signed"):
        vocabulary_of(champion)
    registry.vouch(champion, b"t" * 32, ())
    with pytest.raises(SignatureError, match="foreign key"):
        vocabulary_of(champion)
    registry.vouch(champion, key, ())
    assert vocabulary_of(champion) == known
