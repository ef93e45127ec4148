from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bentos import registry
from bentos.__main__ import main
from bentos.build import build, code_digest
from bentos.serve import plan
from footfall.errors import ReleaseError, SettingsError
from footfall.settings import load_settings
from footfall.store import open_store, releases


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_registered_bundle_is_found_again_byte_for_byte_and_alone(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    tag = registry.register(bundle, "r0123456789ab", {"as_of": "2017-10-29"}, home=home)
    assert tag == registry.register(bundle, "r0123456789ab", {}, home=home) == "footfall:r0123456789ab"
    found = registry.bundle_path(tag, home=home)
    assert found.is_relative_to(home)
    assert {path.name: path.read_text(encoding="utf-8") for path in found.iterdir()} == {"manifest.json": "{}"}


@pytest.mark.parametrize("tag", ["footfall:r9", "footfall:latest", "", "../..:x", "footfall:../../etc", "/etc/passwd", "a:b:c", "footfall:r\x00"])
def test_a_tag_that_names_no_model_is_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(ReleaseError):
        registry.bundle_path(tag, home=tmp_path / "home")


def test_the_home_is_the_environments_or_the_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTFALL_ROOT", str(tmp_path))
    assert registry.bentoml_home() == tmp_path / ".footfall" / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "elsewhere"))
    assert registry.bentoml_home() == tmp_path / "elsewhere"


def test_a_bento_of_an_unknown_model_is_not_built(tmp_path: Path, checkout: Path) -> None:
    with pytest.raises(ReleaseError, match="not in the model store"):
        build(checkout, "footfall:r9", home=tmp_path / "home")


def test_the_code_digest_changes_with_the_code_and_with_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "bentos").mkdir()
    (tmp_path / "bentos" / "service.py").write_text("1", encoding="utf-8")
    before = code_digest(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.py").write_text("2", encoding="utf-8")
    assert code_digest(tmp_path) == before
    (tmp_path / "bentos" / "service.py").write_text("2", encoding="utf-8")
    assert code_digest(tmp_path) != before


def test_the_service_does_not_listen_beyond_loopback_without_keys(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.7"):
        with pytest.raises(SettingsError, match="beyond loopback"):
            plan(load_settings({"FOOTFALL_ROOT": str(tmp_path), "FOOTFALL_HOST": host}))


def test_the_champions_bento_is_served_from_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    settings = load_settings({"FOOTFALL_ROOT": str(tmp_path), "FOOTFALL_PORT": "4711", "FOOTFALL_HOST": "localhost"})
    with pytest.raises(ReleaseError, match="no bento"):
        plan(settings)
    for version in ("r1-aaa", "r2-bbb"):
        _pretend_bento(home, version)
    engine = open_store(settings.store_url)
    moment = datetime(2017, 1, 1, tzinfo=UTC)
    releases.add(engine, releases.Release("r1", "footfall:r1", "candidate", moment, moment, bento_tag="footfall:r1-aaa"))
    releases.promote(engine, "r1")
    engine.dispose()
    planned = plan(settings)
    code = home / "bentos" / "footfall" / "r1-aaa" / "src"
    assert planned.folder == code
    assert planned.environment["PYTHONPATH"] == f"{code / 'src'}:{code}"
    assert planned.environment["FOOTFALL_ROOT"] == str(tmp_path)
    assert planned.command[-4:] == ["--host", "127.0.0.1", "--port", "4711"]
    assert plan(settings, "footfall:r2-bbb").folder.parent.name == "r2-bbb"
    assert planned.environment["OTEL_SDK_DISABLED"] == "true"
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    assert plan(settings).environment["OTEL_SDK_DISABLED"] == "false"
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier pigeon")
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER"):
        plan(settings)


def _pretend_bento(home: Path, version: str) -> None:
    folder = home / "bentos" / "footfall" / version
    (folder / "src").mkdir(parents=True)
    (folder / "bento.yaml").write_text(
        f"service: bentos.service:Footfall\nname: footfall\nversion: {version}\nbentoml_version: 1.4.39\ncreation_time: 2017-01-01T00:00:00+00:00\n"
        f"labels: {{release: {version[:2]}}}\nmodels: []\nrunners: []\napis: []\n",
        encoding="utf-8",
    )
    (home / "bentos" / "footfall" / "latest").write_text(version, encoding="utf-8")
    assert registry.built_with(folder / "src" / "bentos" / "service.py") == f"footfall:{version[:2]}"


def test_a_service_in_a_checkout_was_built_with_nothing(checkout: Path) -> None:
    assert registry.built_with(checkout / "bentos" / "service.py") is None


def test_the_command_says_what_is_wrong_and_exits_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOOTFALL_ROOT", str(tmp_path))
    assert main(["build"]) == 1
    assert main(["serve"]) == 1
    assert "no champion to build" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["dance"])
