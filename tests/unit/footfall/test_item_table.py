"""A bundle whose item table is kept in bytes: what is written, what is read back, and that fusion is chosen for what ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from footfall.arrays.vocabularies import read_vocabulary
from footfall.bundle import Content, open_bundle, write_bundle
from footfall.bundle_files import VOCABULARY_FILE, WEIGHTS
from footfall.core.baselines import ItemToItem
from footfall.core.metrics import top_k
from footfall.core.quantised import ITEM_TABLE, SCALE, quantise_rows, restore_rows
from footfall.errors import BundleError, ParamsError
from footfall.model.pretrained import SequenceModel
from footfall.model.trainer import train
from footfall.params import Bundle, Fusion, load_params
from footfall.paths import Paths
from footfall.recommender import Recommender
from footfall.stages import bundle as stage
from footfall.stages.train import write_weights
from tests.unit.footfall.model.shop_of_habits import CONFIG, DAY_US, ITEMS, PARAMS, habits
from tests.unit.footfall.small_shop import FUSION, make_bundle_by_hand, make_shop, small_params


@pytest.fixture(scope="module")
def trained() -> SequenceModel:
    return train(habits(), 70 * DAY_US, CONFIG, PARAMS).model


@pytest.fixture
def weights(tmp_path: Path, trained: SequenceModel) -> Path:
    write_weights(tmp_path / "weights", trained)
    return tmp_path / "weights"


def written(folder: Path, weights: Path, item_table: str) -> Path:
    by_hand = make_bundle_by_hand(folder.parent / f"{folder.name}-hand", items=ITEMS)
    neighbours = ItemToItem(np.roll(np.arange(ITEMS, dtype=np.int32), -1)[:, None], np.full((ITEMS, 1), 0.5, np.float32))
    facts: dict[str, Any] = {"inputs": {}, "params": {}} | dict.fromkeys(("as_of", "train_end", "validation_end"), "2020-06-01T00:00:00+00:00")
    content = Content(np.arange(ITEMS, 0, -1, dtype=np.float64), neighbours, FUSION)
    write_bundle(folder, weights=weights, vocabulary=by_hand / VOCABULARY_FILE, content=content, facts=facts, item_table=item_table)
    return folder


def test_a_table_in_bytes_is_read_back_rounded_and_all_else_as_it_was(tmp_path: Path, weights: Path) -> None:
    found, exact = open_bundle(written(tmp_path / "bundle", weights, "int8")).weights, load_file(weights / WEIGHTS)
    assert load_file(tmp_path / "bundle" / WEIGHTS)[ITEM_TABLE].dtype == np.int8
    np.testing.assert_array_equal(found.pop(ITEM_TABLE), restore_rows(*quantise_rows(exact.pop(ITEM_TABLE))))
    assert all(np.array_equal(found[name], array) for name, array in exact.items())
    assert found.keys() == exact.keys()


def test_in_float32_the_bundle_holds_the_very_bytes_of_training(tmp_path: Path, weights: Path) -> None:
    assert (written(tmp_path / "bundle", weights, "float32") / WEIGHTS).read_bytes() == (weights / WEIGHTS).read_bytes()


def test_a_table_in_bytes_is_written_alike_each_time(tmp_path: Path, weights: Path) -> None:
    one, two = (written(tmp_path / name, weights, "int8") for name in ("one", "two"))
    assert open_bundle(one).release_id == open_bundle(two).release_id


def test_a_bundle_in_bytes_shows_nearly_the_same_ten_items(tmp_path: Path, weights: Path) -> None:
    exact, rounded = (
        Recommender.open(written(tmp_path / name, weights, name)).scores(habits(), 90 * DAY_US, "model") for name in ("float32", "int8")
    )
    shared = [len(set(one) & set(other)) / 10 for one, other in zip(top_k(exact, 10), top_k(rounded, 10), strict=True)]
    assert not np.array_equal(exact, rounded)
    assert np.mean(shared) > 0.97


@pytest.mark.parametrize("spoilt", [{SCALE: np.ones(3, np.float32)}, {SCALE: None}, {ITEM_TABLE: np.ones((ITEMS + 1, CONFIG.dim), np.float32)}])
def test_bytes_without_their_scales_are_refused(tmp_path: Path, weights: Path, spoilt: dict[str, np.ndarray | None]) -> None:
    kept = load_file(written(tmp_path / "whole", weights, "int8") / WEIGHTS) | spoilt
    save_file({name: array for name, array in kept.items() if array is not None}, weights / WEIGHTS)
    with pytest.raises(BundleError, match=r"item table cannot be read") as caught:
        open_bundle(written(tmp_path / "bundle", weights, "float32"))
    assert WEIGHTS in str(caught.value.where)


def test_a_scale_that_is_no_number_is_refused(tmp_path: Path, weights: Path) -> None:
    kept = load_file(written(tmp_path / "whole", weights, "int8") / WEIGHTS)
    kept[SCALE][3] = np.nan
    save_file(kept, weights / WEIGHTS)
    with pytest.raises(BundleError, match=r"not finite"):
        open_bundle(written(tmp_path / "bundle", weights, "float32"))


def test_fusion_is_chosen_for_the_weights_that_ship(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = replace(small_params(checkout), bundle=Bundle("int8"), fusion=Fusion([1.0], [0.4], [0.2]))
    paths: Paths = make_shop(tmp_path, params)
    config = type(CONFIG)(**{**vars(CONFIG.shape), "items": len(read_vocabulary(paths.sequences))})
    write_weights(paths.weights, SequenceModel(config))
    seen: list[Any] = []
    choose = stage.choose_fusion
    monkeypatch.setattr(stage, "choose_fusion", lambda reader, *rest: seen.append(reader.scorer) or choose(reader, *rest))
    stage.make_bundle(paths, params)
    shipped = open_bundle(paths.bundle)
    assert shipped.manifest.params["bundle"] == {"item_table": "int8"}
    histories = habits().take(np.arange(5))
    np.testing.assert_array_equal(seen[0].scores(histories), Recommender.open(paths.bundle)._reader.scorer.scores(histories))


def test_another_form_of_the_table_is_no_parameter(tmp_path: Path, checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("item_table: float32", "item_table: int4"), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"float32, int8"):
        load_params(tmp_path / "params.yaml")
