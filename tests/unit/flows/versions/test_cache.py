"""Damaged objects: DVC checks them out as if they were whole; what is read is hashed first, and whole copies take their place."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from expectations import __main__ as validation
from flows.versions import cache, repository, workspace
from flows.versions.commands import dvc, git
from footfall.errors import BundleError, FootfallError, SourceError
from footfall.judging import judge
from footfall.paths import Paths
from footfall.recommender import Recommender
from footfall.sources import landing
from footfall.stages.bundle import make_bundle
from footfall.stages.evaluate import make_metrics
from footfall.stages.events import make_tables
from footfall.stages.sequences import make_sequences
from tests.trials import Trial
from tests.unit.flows.copied_shop import make_workspace, params
from tests.unit.footfall.small_shop import use_table_scorer

READERS: dict[str, list[Callable[[Paths], object]]] = {
    "raw": [lambda paths: make_tables(paths, params())],
    "tables": [
        lambda paths: validation.validate(paths, params()),
        lambda paths: make_sequences(paths, params()),
        lambda paths: judge(None, paths.bundle, paths.tables, params()),
        lambda paths: make_metrics(paths, params()),
    ],
    "sequences": [lambda paths: make_bundle(paths, params()), lambda paths: make_metrics(paths, params())],
    "weights": [lambda paths: make_bundle(paths, params())],
    "habits": [lambda paths: make_bundle(paths, params())],
    "bundle": [lambda paths: Recommender.open(paths.bundle), lambda paths: make_metrics(paths, params())],
}
"""Who reads what lies below each folder of data/; stage `train` has its own test."""
HOW_MANY = {"raw": 5, "tables": 4, "sequences": 4, "weights": 2, "habits": 1, "bundle": 4}
"""Twenty objects of every kind."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that is pushed, and never changed: tests copy it."""
    root = make_workspace(tmp_path_factory.mktemp("whole"))
    repository.push(root)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace and a cache of its own."""
    use_table_scorer(monkeypatch)
    copy = shutil.copytree(whole, tmp_path / "workspace", symlinks=True)
    shutil.copytree(cache.cache_folder(whole), tmp_path / "cache")
    workspace.use_cache(copy, tmp_path / "cache")
    return copy


def flip(path: Path, draw: random.Random) -> None:
    """Change one byte, also of a file that nobody may write."""
    mode, content = path.stat().st_mode, bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def objects(root: Path) -> dict[str, Path]:
    """Every file that DVC's records name, and the object that it is checked out from."""
    folder, found = cache.cache_folder(root), {}
    for name, (digest, _) in cache.recorded(root).items():
        for relative, md5 in (cache.listing(folder, digest) or {}).items():
            found[f"{name}/{relative}"] = cache.object_path(folder, md5)
    return found


@pytest.mark.trial
def test_one_flipped_byte_in_any_object_is_caught_before_use(root: Path, trial: Trial) -> None:
    draw, files = random.Random(20), objects(root)
    sound = {name: path.read_bytes() for name, path in files.items()}
    assert {name.split("/")[1] for name in files} == set(READERS)
    for reader in itertools.chain.from_iterable(READERS.values()):
        assert not _failed_checks(reader(Paths(root)))  # nothing is damaged yet
        _restore(root, sound)
    caught = flips = 0
    missed: list[object] = []
    for _ in range(-(-trial.count(small=20, stated=200) // 20)):
        kinds = {kind: [name for name in files if name.split("/")[1] == kind] for kind in READERS}
        chosen = [name for kind, count in HOW_MANY.items() for name in draw.sample(kinds[kind], count)]
        for name in chosen:
            assert files[name].stat().st_mode & 0o777 == 0o444
            flip(files[name], draw)
        shutil.rmtree(root / "data")
        git(root, "checkout", "--quiet", "HEAD", "--", "data/raw.dvc")
        dvc(root, "checkout", "--quiet")
        damaged = {name: (root / name).read_bytes() for name in chosen}
        assert all(damaged[name] != sound[name] for name in chosen)  # DVC has handed out every one of them without a word
        for name in chosen:
            _restore(root, sound | {name: damaged[name]})
            flips += 1
            seen = [_is_caught(reader, root, name) for reader in READERS[name.split("/")[1]]]
            caught += all(seen)
            if not all(seen):
                diff = [(i, x, y) for i, (x, y) in enumerate(zip(sound[name], damaged[name], strict=True)) if x != y]
                missed.append((name, seen, diff, len(sound[name])))
        for name in chosen:
            files[name].chmod(0o644)
            files[name].write_bytes(sound[name])
            files[name].chmod(0o444)
    trial.note(flipped=flips, caught=caught)
    assert missed == []
    assert caught == flips >= 20


def _restore(root: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (root / name).chmod(0o644)
        (root / name).write_bytes(content)


def _is_caught(reader: Callable[[Paths], object], root: Path, name: str) -> bool:
    """Whether the reader refuses, naming the file (or the manifest against which it was held), before it has written anything."""
    reports = sorted((root / "reports").iterdir())
    try:
        said = reader(Paths(root))
    except (SourceError, BundleError) as error:
        return Path(str(error.where)).parent == (root / name).parent and sorted((root / "reports").iterdir()) == reports
    return bool(_failed_checks(said))


def _failed_checks(said: object) -> list[str]:
    """What the release gate says of a bundle that it refuses; other readers raise."""
    return [check["sentence"] for check in said["checks"] if not check["ok"]] if isinstance(said, dict) else []


def test_damaged_objects_are_named_and_replaced_from_the_remote(root: Path) -> None:
    draw, files = random.Random(3), objects(root)
    sound = {name: path.read_bytes() for name, path in files.items()}
    assert cache.damaged_objects(root) == []
    chosen = draw.sample(sorted(files), 5)
    for name in chosen:
        flip(files[name], draw)
        (root / name).chmod(0o644)
        (root / name).write_bytes(files[name].read_bytes())
    assert set(cache.damaged_objects(root)) == {files[name] for name in chosen}

    done = cache.mend(root)

    assert (len(done.damaged), sorted(done.restored), done.lost) == (5, sorted(chosen), {})
    assert {name: (root / name).read_bytes() for name in files} == sound
    assert cache.damaged_objects(root) == []


def test_what_no_whole_copy_is_left_of_is_named_with_the_next_move_and_made_again(root: Path) -> None:
    shutil.rmtree(Paths(root).remote)
    name = "data/weights/model.safetensors"
    path = objects(root)[name]
    before = path.read_bytes()
    flip(path, random.Random(1))
    shutil.copy(path, root / name)

    done = cache.mend(root)

    assert done.lost == {name: "dvc repro train"}
    dvc(root, "repro", "--quiet", "train")
    assert (root / name).read_bytes() == before


def test_mending_leaves_batches_alone_that_were_accepted_since(root: Path) -> None:
    paths = Paths(root)
    folder = landing.list_batches(paths, "events")[0]
    new = shutil.copytree(folder, folder.with_name("shop-2020-06"))

    assert cache.mend(root) == cache.Mended()
    landing.check_batch(new)


def test_a_damaged_listing_of_a_folder_is_an_error_and_not_another_folder(root: Path) -> None:
    """The one object of DVC's that holds names; a changed name leads to a missing or an unknown file."""
    listing = cache.object_path(cache.cache_folder(root), cache.recorded(root)["data/raw"][0])
    sound = listing.read_text()
    listing.chmod(0o644)
    listing.write_text(sound.replace("rows.parquet", "rowt.parquet", 1))
    shutil.rmtree(root / "data" / "raw")
    shutil.rmtree(Paths(root).dvc_site_cache, ignore_errors=True)

    def use() -> None:
        dvc(root, "checkout", "--quiet")
        make_tables(Paths(root), params())

    with pytest.raises(FootfallError):
        use()
