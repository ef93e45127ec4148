from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from footfall.bundle import MANIFEST_SUM, Content, bundle_digest, open_bundle, release_id
from footfall.bundle_files import FILES
from footfall.core.baselines import ItemToItem
from footfall.errors import BundleError
from footfall.manifest import file_digest
from tests.unit.footfall.small_shop import FUSION, make_bundle_by_hand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle_by_hand(tmp_path / "bundle")


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    assert caught.value.where
    assert caught.value.next_step
    return caught.value


def seal(folder: Path) -> None:
    """Write the digests anew, as someone would who made a wrong bundle on purpose."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: file_digest(folder / name) for name in FILES}
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write another manifest, and its sum as for a right one."""
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / MANIFEST_SUM).write_text(file_digest(folder / "manifest.json") + "\n")


def test_a_bundle_comes_back_as_it_was_written(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.vocabulary.item_ids == ("a", "b", "c", "d", "e")
    assert bundle.popularity.tolist() == [5, 4, 3, 2, 1]
    assert bundle.item_to_item.neighbours.tolist() == [[1], [2], [3], [4], [0]]
    assert bundle.fusion == FUSION
    assert bundle.weights["logits"].tolist() == [0] * 5
    assert bundle.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    one, two = make_bundle_by_hand(tmp_path / "one"), make_bundle_by_hand(tmp_path / "two")
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {path.name: path.read_bytes() for path in two.iterdir()}


def test_the_release_id_follows_every_input(tmp_path: Path) -> None:
    one = make_bundle_by_hand(tmp_path / "one")
    other = make_bundle_by_hand(tmp_path / "two", logits=np.array([0, 0, 0, 0, 1e-3]))
    assert re.fullmatch(r"r[0-9a-f]{12}", release_id(one))
    assert bundle_digest(one).startswith(release_id(one)[1:])
    assert release_id(one) != release_id(other)


def test_writing_again_replaces_the_whole_folder(folder: Path) -> None:
    (folder / "left over").write_text("x")
    make_bundle_by_hand(folder)
    assert {path.name for path in folder.iterdir()} == {*FILES, "manifest.json", MANIFEST_SUM}


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_file_is_named(folder: Path, name: str) -> None:
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    error = refusal(folder)
    assert "damaged" in error.what
    assert name in str(error.where)


def test_a_flipped_bit_in_a_digest_is_named(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = manifest["files"]["config.json"]
    manifest["files"]["config.json"] = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    write_manifest(folder, manifest)
    assert "config.json" in str(refusal(folder).where)


@pytest.mark.parametrize("name", ["manifest.json", MANIFEST_SUM])
def test_a_flipped_bit_in_the_manifest_is_named_also_where_it_is_only_a_number(folder: Path, name: str) -> None:
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace("2020", "2021", 1) if name == "manifest.json" else text.replace(text[5], "g"))
    error = refusal(folder)
    assert "damaged" in error.what
    assert "manifest.json" in str(error.where)


def test_a_bundle_from_before_manifests_had_a_sum_still_opens(folder: Path) -> None:
    (folder / MANIFEST_SUM).unlink()
    assert open_bundle(folder).release_id == release_id(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refusal(folder)
    assert "lacks" in error.what
    assert name in str(error.where)


def test_no_manifest_is_no_bundle(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert "no bundle" in refusal(folder).what
    assert "no bundle" in refusal(folder / "nowhere").what


def test_a_file_too_many_is_named(folder: Path) -> None:
    (folder / "notes.txt").write_text("x")
    assert "notes.txt" in str(refusal(folder).found)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_link_is_refused_even_to_the_same_bytes(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    error = refusal(folder)
    assert "link" in error.what
    assert name in str(error.where)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    error = refusal(make_bundle_by_hand(tmp_path / "bundle", logits=np.array([0, value, 0, 0, 0])))
    assert "not finite" in error.what
    assert "model.safetensors: logits" in str(error.where)


def test_popularity_that_is_no_number_is_refused(tmp_path: Path) -> None:
    neighbours = ItemToItem(np.zeros((5, 1), np.int32), np.zeros((5, 1), np.float32))
    content = Content(np.array([1, 2, np.nan, 4, 5]), neighbours, FUSION)
    assert "baselines.safetensors: popularity" in str(refusal(make_bundle_by_hand(tmp_path / "bundle", content=content)).where)


@pytest.mark.parametrize(
    "change",
    [
        {"popularity": np.zeros(4)},
        {"popularity": np.zeros(5, np.float32)},
        {"neighbours": np.zeros((5, 2), np.int32)},
        {"similarities": np.zeros((4, 1), np.float32)},
        {"extra": np.zeros(1)},
    ],
)
def test_arrays_of_another_shape_are_refused(folder: Path, change: dict[str, np.ndarray]) -> None:
    save_file(load_file(folder / "baselines.safetensors") | change, folder / "baselines.safetensors")
    seal(folder)
    assert "other shapes" in refusal(folder).what


def test_a_neighbour_outside_the_vocabulary_is_refused(folder: Path) -> None:
    save_file(load_file(folder / "baselines.safetensors") | {"neighbours": np.full((5, 1), 5, np.int32)}, folder / "baselines.safetensors")
    seal(folder)
    assert "outside the vocabulary" in refusal(folder).what


def test_another_schema_version_is_refused(folder: Path) -> None:
    for name, schema in (("fusion.json", "footfall.fusion/1"), ("manifest.json", "footfall.manifest/1")):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(schema, schema[:-1] + "2"))
        if name == "fusion.json":
            seal(folder)
        else:
            write_manifest(folder, json.loads((folder / name).read_text()))
        error = refusal(folder)
        assert name in str(error.where)
        assert error.found == schema[:-1] + "2"


def test_another_contract_version_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["contracts"]["vocabulary"] = 99
    write_manifest(folder, manifest)
    assert "contract version" in refusal(folder).what


def test_a_manifest_cannot_point_elsewhere(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = manifest["files"].pop("config.json")
    write_manifest(folder, manifest)
    assert "lists other files" in refusal(folder).what


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_sealed_nonsense_is_still_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04nonsense")
    if name != "manifest.json":
        seal(folder)
    assert name in str(refusal(folder).where)


@pytest.mark.parametrize(
    ("old", "new"), [('"personal_frequency": 1.0', '"personal_frequency": NaN'), ('"personal_frequency": 1.0', '"personality": 1.0')]
)
def test_fusion_weights_that_cannot_be_used_are_refused(folder: Path, old: str, new: str) -> None:
    text = (folder / "fusion.json").read_text()
    (folder / "fusion.json").write_text(text.replace(old, new, 1))
    seal(folder)
    assert "fusion weights" in refusal(folder).what
