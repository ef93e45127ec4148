"""A poisoned or foreign bundle is refused before anything of it is loaded, and the release that serves goes on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from footfall import bundle as bundle_module
from footfall.bundle import name_of, release_id
from footfall.bundle_folder import require_signature, sign_bundle, signature_path
from footfall.errors import BundleError
from footfall.manifest import MANIFEST, digest_of
from footfall.recommender import Recommender
from footfall.signing import verify_key, verify_keys_in
from footfall.store import releases
from tests.unit.bentos.asgi import ask
from tests.unit.bentos.conftest import AS_OF, Service
from tests.unit.footfall import small_shop
from tests.unit.footfall.small_shop import make_bundle_by_hand, use_table_scorer
from tests.unit.poison import POISONS, Poison, copy_bundle, reseal

OURS, THEIRS = b"o" * 32, b"t" * 32
TRUSTED = verify_keys_in({"FOOTFALL_VERIFY_KEYS": verify_key(OURS)})
READERS = ("read_vocabulary", "read_config", "read_weights", "read_baselines", "read_fusion", "read_habits")


def digest(folder: Path) -> str:
    return digest_of((folder / MANIFEST).read_bytes())


def sign(folder: Path, key: bytes = OURS) -> None:
    sign_bundle(folder, key, digest(folder))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which parts of bundles are parsed, and scorers that are made, from now on."""
    seen: list[str] = []

    def spy(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            seen.append(name)
            return function(*given, **named)

        return call

    for name in READERS:
        monkeypatch.setattr(bundle_module, name, spy(name, getattr(bundle_module, name)))
    monkeypatch.setattr(small_shop.TableScorer, "__init__", spy("Scorer", small_shop.TableScorer.__init__))
    return seen


def unsigned(folder: Path, _: Path) -> None:
    signature_path(folder).unlink()


def foreign(folder: Path, _: Path) -> None:
    sign(folder, THEIRS)


def of_another_bundle(folder: Path, _: Path) -> None:
    other = make_bundle_by_hand(folder.parent / "other", logits=np.array([9.0, 0, 0, 0, 0]))
    sign(other)
    shutil.copy(signature_path(other), signature_path(folder))


def whole_but_another(folder: Path, canary: Path) -> None:
    """Every file, the manifest and its sum replaced by those of another whole bundle: consistent in itself, and signed by nobody."""
    other = make_bundle_by_hand(canary.parent / "other", logits=np.array([9.0, 0, 0, 0, 0]))
    for path in other.iterdir():
        shutil.copy(path, folder / path.name)


def foreign_key_under_our_name(folder: Path, _: Path) -> None:
    sign(folder)
    ours = signature_path(folder).read_text().split()
    sign(folder, THEIRS)
    signature_path(folder).write_text(" ".join([*ours[:2], signature_path(folder).read_text().split()[2]]) + "\n")


def bytes_behind_the_signature(folder: Path, _: Path) -> None:
    with signature_path(folder).open("ab") as file:
        file.write(b"x" * 1000)


def linked_signature(folder: Path, canary: Path) -> None:
    signature_path(folder).rename(canary.parent / "signature")
    signature_path(folder).symlink_to(canary.parent / "signature")


UNVOUCHED: dict[str, Poison] = {
    "no signature": unsigned,
    "a foreign key": foreign,
    "a signature of another bundle": of_another_bundle,
    "another whole bundle in its place": whole_but_another,
    "a foreign key under our name": foreign_key_under_our_name,
    "bytes behind the signature": bytes_behind_the_signature,
    "a linked signature": linked_signature,
}
ALL = POISONS | UNVOUCHED


def promote_by_hand(service: Service, identity: str, folder: str) -> None:
    """What somebody could do who can write to the store: point it at any folder under any name."""
    service.changeover.close()  # so that only this test looks
    releases.add(service.engine, releases.Release(identity, folder, "candidate", AS_OF, AS_OF))
    releases.promote(service.engine, identity)
    service.changeover.look()


@pytest.mark.parametrize("name", ALL)
def test_signed_or_refused_before_anything_is_parsed_and_the_old_release_goes_on(
    start: Callable[..., Service], tmp_path: Path, parsed: list[str], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    for release in ("a", "b"):
        sign(tmp_path / "bundles" / release)
    service = start(verify_keys=TRUSTED)
    first = ask(service.app, "POST", "/v1/recommend", {}).json["release"]
    folder, canary = copy_bundle(service.bundles / "b", service.bundles / "poisoned"), tmp_path / "canary"
    second = release_id(folder)
    ALL[name](folder, canary)
    parsed.clear()
    with caplog.at_level(logging.ERROR, "footfall.service"):
        promote_by_hand(service, second, "poisoned")
    assert parsed == []
    assert not list(tmp_path.rglob("canary*"))
    assert ask(service.app, "POST", "/v1/recommend", {}).json["release"] == first
    assert ask(service.app, "GET", "/v1/release").json["failed"].startswith(f"{second}: ")
    assert f'footfall_changeovers_total{{outcome="failed",release="{second}"}} 1.0' in ask(service.app, "GET", "/metrics").body.decode()
    assert [record for record in caplog.records if "cannot be served" in record.message]


@pytest.mark.parametrize("name", UNVOUCHED)
def test_also_where_the_store_calls_the_foreign_bundle_by_its_own_name(start: Callable[..., Service], tmp_path: Path, name: str) -> None:
    for release in ("a", "b"):
        sign(tmp_path / "bundles" / release)
    service = start(verify_keys=TRUSTED)
    folder = copy_bundle(service.bundles / "b", service.bundles / "poisoned")
    UNVOUCHED[name](folder, tmp_path / "canary")
    promote_by_hand(service, release_id(folder), "poisoned")
    assert service.changeover.failure is not None
    assert "sign" in service.changeover.failure or "link" in service.changeover.failure


@pytest.mark.parametrize("name", POISONS)
def test_what_is_poisoned_is_refused_without_signatures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: list[str], name: str) -> None:
    use_table_scorer(monkeypatch)
    folder, canary = make_bundle_by_hand(tmp_path / "bundle"), tmp_path / "canary"
    Recommender.open(folder)
    POISONS[name](folder, canary)
    parsed.clear()
    with pytest.raises(BundleError):
        Recommender.open(folder)
    assert "Scorer" not in parsed
    assert not list(tmp_path.rglob("canary*"))


@pytest.mark.parametrize(
    ("name", "found"),
    [("a word of 64 KiB in a hundred thousand rows", "words of 6553600000 bytes"), ("a table of 17 million rows", "17825792 rows")],
)
def test_a_bomb_is_refused_for_its_size(tmp_path: Path, name: str, found: str) -> None:
    folder = make_bundle_by_hand(tmp_path / "bundle")
    POISONS[name](folder, tmp_path / "canary")
    with pytest.raises(BundleError) as caught:
        bundle_module.open_bundle(folder)
    assert str(caught.value.found).startswith(found)


def test_a_bundle_in_another_releases_place_is_refused_without_signatures_too(service: Service, tmp_path: Path, parsed: list[str]) -> None:
    first = ask(service.app, "POST", "/v1/recommend", {}).json["release"]
    second = release_id(service.bundles / "b")
    whole_but_another(service.bundles / "b", tmp_path / "canary")
    parsed.clear()
    promote_by_hand(service, second, "b")
    assert (parsed, service.changeover.failure) == ([], f"{second}: another bundle lies in the release's place")
    assert ask(service.app, "POST", "/v1/recommend", {}).json["release"] == first


def test_a_signed_release_takes_over_and_any_of_several_keys_will_do(start: Callable[..., Service], tmp_path: Path) -> None:
    sign(tmp_path / "bundles" / "a")
    sign(tmp_path / "bundles" / "b", THEIRS)
    service = start(verify_keys=verify_keys_in({"FOOTFALL_VERIFY_KEYS": f"{verify_key(THEIRS)}, {verify_key(OURS)}"}))
    second = service.promote("b")
    service.changeover.look()
    assert ask(service.app, "POST", "/v1/recommend", {}).json["release"] == second


def test_a_service_that_asks_for_signatures_does_not_start_with_an_unsigned_release(start: Callable[..., Service]) -> None:
    service = start(verify_keys=TRUSTED)
    assert service.changeover.ranker is None
    assert "not signed" in str(service.changeover.failure)
    assert ask(service.app, "POST", "/v1/recommend", {}).status == 503


def test_a_hard_link_to_the_right_bytes_opens_and_what_is_in_memory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_table_scorer(monkeypatch)
    folder = make_bundle_by_hand(tmp_path / "bundle")
    (tmp_path / "outside").hardlink_to(folder / "model.safetensors")
    recommender = Recommender.open(folder)
    (tmp_path / "outside").write_bytes(b"x")
    assert recommender.bundle.weights["logits"].tolist() == [0] * 5


def test_only_the_bundle_that_was_judged_is_signed(tmp_path: Path) -> None:
    folder = make_bundle_by_hand(tmp_path / "bundle")
    judged = digest(folder)
    (folder / "config.json").write_text('{"items": 5, "more": 1}')
    with pytest.raises(BundleError, match="damaged"):
        sign_bundle(folder, OURS, judged)
    reseal(folder)
    for meant in (judged, "", "x"):
        with pytest.raises(BundleError, match="another bundle"):
            sign_bundle(folder, OURS, meant)
    assert not signature_path(folder).exists()
    sign_bundle(folder, OURS, release_id(folder)[1:])
    require_signature(folder, TRUSTED)
    assert release_id(folder) == name_of(digest(folder))


def test_a_signature_changes_no_byte_of_the_bundle_and_is_the_same_each_time(tmp_path: Path) -> None:
    folder = make_bundle_by_hand(tmp_path / "bundle")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    sign(folder)
    first = signature_path(folder).read_bytes()
    sign(folder)
    assert signature_path(folder).read_bytes() == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
