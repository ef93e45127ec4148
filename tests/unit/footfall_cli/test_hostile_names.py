"""Names from outside never lead out of the store: nothing is read, written or listed beyond the root, whatever they look like."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bentos import registry
from bentos.serve import plan
from footfall.errors import FootfallError
from footfall.paths import is_release_id
from footfall.settings import load_settings
from footfall.store import open_store, releases
from footfall_cli.main import app
from tests.champions import champion_id
from tests.unit.footfall.small_shop import make_bundle_by_hand
from tests.unit.footfall_cli.test_command_line import make_root

NAMES = [
    "",
    " ",
    ".",
    "..",
    "../..",
    "../../outside/loot",
    "r0/../../../outside/loot",
    "/etc/passwd",
    "//etc/passwd",
    "~/loot",
    "~root",
    "C:\\Windows\\win.ini",
    "..\\..\\outside\\loot",
    "\\\\host\\share",
    "%2e%2e%2f%2e%2e%2foutside",
    "..%2foutside",
    "%252e%252e%252f",
    "..;/outside",
    "....//....//outside",
    "r0123456789ab/",
    "r0123456789ab/..",
    "r0123456789ab\n",
    "r0123456789ab\r\n",
    "\nr0123456789ab",
    " r0123456789ab",
    "r0123456789ab ",
    "r0123456789ab\x00",
    "r0123456789ab\x00.json",
    "R0123456789AB",
    "r0123456789AB",
    "r\uff10123456789ab",
    "r0123456789\u0430b",
    "\u2024\u2024/outside",
    "\uff0e\uff0e\uff0foutside",
    "r0123456789ab\u200b",
    "\u202erba9876543210r",
    "r01234567",  # the beginning of a name that exists
    "r*",
    "r?123456789ab",
    "[r]0123456789ab",
    "latest",
    "-rf",
    "--workspace=/etc",
    "$(touch loot)",
    "`touch loot`",
    "r0; touch loot",
    "' OR '1'='1",
    "r" + "0" * 65,
    "r" + "0" * 5000,
    "a/" * 2000,
    "file:///etc/passwd",
    "http://192.0.2.7/loot",
    "\x1b[2J\x1b]0;owned\x07",
    "\ud800",
]
_STATE = {"on": False}
_SEEN: list[str] = []
_EVENTS = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod")


def _hook(event: str, given: tuple[object, ...], state: dict[str, bool] = _STATE, seen: list[str] = _SEEN, events: tuple[str, ...] = _EVENTS) -> None:
    # all it needs is an argument: at the interpreter's end this module's names are gone, and the hook is not
    if state["on"] and (event in events or event.startswith(("subprocess", "os.exec", "os.system", "socket.connect"))):
        seen.append(f"{event} {given[0] if given else ''}")


_HOOKED: list[bool] = []


@contextmanager
def watched(root: Path, checkout: Path) -> Iterator[None]:
    """Fail when anything is touched that is neither below `root` nor Python's own."""
    own = [root.resolve(), checkout, *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib")), Path(sys.prefix), Path("/dev")]
    own += [Path("/proc"), Path("/usr/share/zoneinfo"), Path("/etc/localtime"), Path("/usr/lib")]
    if not _HOOKED:
        sys.addaudithook(_hook)  # there is no taking it away again
        _HOOKED.append(True)
    _SEEN.clear()
    _STATE["on"] = True
    try:
        yield
    finally:
        _STATE["on"] = False
    strange = []
    for line in _SEEN:
        event, _, name = line.partition(" ")
        path = Path(name.removeprefix("b'").removesuffix("'"))
        inside = name.isdigit() or not path.is_absolute() or any(path.resolve().is_relative_to(place) for place in own)
        if not event.startswith(("open", "os.")) or event in ("os.exec", "os.system") or not inside:
            strange.append(line)
    assert strange == []


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def root(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one release in its store, and loot outside it."""
    (tmp_path / "outside" / "loot" / "bundle").mkdir(parents=True)
    (tmp_path / "outside" / "loot" / "bundle" / "manifest.json").write_text("{}")
    root = make_root(tmp_path / "root", checkout)
    monkeypatch.setenv("FOOTFALL_ROOT", str(root))
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.delenv("FOOTFALL_STORE", raising=False)
    registry.register(make_bundle_by_hand(root / "made" / "bundle"), "r0123456789ab", {})
    engine = open_store(load_settings().store_url)
    releases.add(engine, releases.Release("r0123456789ab", "footfall:r0123456789ab", "candidate", *[releases.from_us(0)] * 2))
    engine.dispose()
    return root


def test_there_are_forty_and_more() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 40
    assert [name for name in NAMES if is_release_id(name)] == ["r01234567"]


def test_no_name_leads_out_of_the_model_store(root: Path, checkout: Path, tmp_path: Path) -> None:
    bundle, before = root / "made" / "bundle", tree(tmp_path)
    with watched(root, checkout):
        for name in NAMES:
            for tag in (name, f"footfall:{name}", f"{name}:r0123456789ab", f"footfall:r0123456789ab:{name}"):
                if tag == "footfall:r0123456789ab":
                    continue
                with pytest.raises(FootfallError):
                    registry.bundle_path(tag)
            if not is_release_id(name):
                with pytest.raises(FootfallError):
                    registry.register(bundle, name, {})
    assert tree(tmp_path) == before


def test_no_name_leads_out_of_the_bento_store(root: Path, checkout: Path, tmp_path: Path) -> None:
    settings, before = load_settings(), tree(tmp_path / "outside")
    with watched(root, checkout):
        for name in NAMES:
            for tag in (name, f"footfall:{name}", f"{name}:r0123456789ab"):
                if tag:  # none: the champion's
                    with pytest.raises(FootfallError):
                        plan(settings, tag)
    assert tree(tmp_path / "outside") == before


def test_no_name_given_to_a_verb_does_either(root: Path, checkout: Path, tmp_path: Path) -> None:
    before = tree(tmp_path / "outside")
    verbs = (["release", "show"], ["release", "promote"], ["release", "sign"], ["trace", "--release"], ["quarantine", "show"])
    with watched(root, checkout), pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOOTFALL_SIGNING_KEY", "b29vb29vb29vb29vb29vb29vb29vb29vb29vb29vb28=")
        for name in NAMES:
            for verb in verbs:
                given = [f"--release={name}"] if verb[-1] == "--release" else ["--", name]
                done = CliRunner().invoke(app, [*verb[: 1 if verb[-1] == "--release" else 2], *given])
                assert done.exit_code == 1, (verb, name, done.output)
                assert isinstance(done.exception, SystemExit), (verb, name, done.exception)
                assert "\x1b" not in done.output
    assert tree(tmp_path / "outside") == before
    engine = open_store(load_settings().store_url)
    assert champion_id(engine) is None
    engine.dispose()


@pytest.mark.parametrize("link", ["models/footfall/r00000000000a", "models/footfall/r00000000000a/bundle", "models/footfall"])
def test_a_link_in_the_model_store_is_refused(root: Path, checkout: Path, tmp_path: Path, link: str) -> None:
    home, outside = root / ".footfall" / "bentoml", tmp_path / "outside"
    place = home / link
    if place.is_dir():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    target = {"footfall": outside, "bundle": outside / "loot" / "bundle"}.get(place.name, outside / "loot")
    (outside / "r00000000000a").symlink_to(outside / "loot")
    place.symlink_to(target)
    before = tree(outside)
    with watched(root, checkout):
        with pytest.raises(FootfallError, match="holds a link"):
            registry.bundle_path("footfall:r00000000000a")
        with pytest.raises(FootfallError, match="holds a link"):
            registry.register(root / "made" / "bundle", "r00000000000a", {})
    assert tree(outside) == before


def test_a_bundle_with_a_link_is_not_registered(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "secret").write_text("secret")
    (root / "made" / "bundle" / "notes").symlink_to(tmp_path / "outside" / "secret")
    with pytest.raises(FootfallError, match="holds a link"):
        registry.register(root / "made" / "bundle", "r00000000000b", {})
    assert not (root / ".footfall" / "bentoml" / "models" / "footfall" / "r00000000000b").exists()


@pytest.mark.parametrize("latest", ["../../../../outside/loot", "/etc", "", "..", "r1\x00"])
def test_what_the_bento_stores_latest_says_does_not_lead_out_of_it(root: Path, tmp_path: Path, latest: str) -> None:
    bentos = root / ".footfall" / "bentoml" / "bentos" / "footfall"
    bentos.mkdir(parents=True)
    (bentos / "latest").write_text(latest)
    with pytest.raises(FootfallError):
        plan(load_settings(), "footfall:latest")


def test_a_linked_bento_is_refused(root: Path, tmp_path: Path) -> None:
    bentos = root / ".footfall" / "bentoml" / "bentos" / "footfall"
    bentos.mkdir(parents=True)
    (tmp_path / "outside" / "loot" / "bento.yaml").write_text(
        "service: x:y\nname: footfall\nversion: r1-x\nbentoml_version: 1.4.39\ncreation_time: 2017-01-01T00:00:00+00:00\n"
        "labels: {}\nmodels: []\nrunners: []\napis: []\n"
    )
    (bentos / "r1-x").symlink_to(tmp_path / "outside" / "loot")
    with pytest.raises(FootfallError, match="holds a link"):
        plan(load_settings(), "footfall:r1-x")
