"""Stage `habits`, and what its output does in the bundle."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from footfall.arrays.histories import read_sequences, write_sequences
from footfall.arrays.windows import read_split
from footfall.bundle import open_bundle
from footfall.bundle_files import FUSION, HABITS_FILE
from footfall.core.sequences import Sequences
from footfall.core.vocabulary import Vocabulary
from footfall.errors import BundleError, SourceError
from footfall.manifest import file_digest, write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.recommender import History, Recommender, Wishes
from footfall.stages.bundle import make_bundle
from footfall.stages.evaluate import make_metrics
from footfall.stages.habits import FILE, item_groups, make_habits, read_habits
from tests.unit.footfall.small_shop import ITEMS, make_shop, small_params, use_table_scorer


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    found = small_params(checkout)
    return dataclasses.replace(found, habits=dataclasses.replace(found.habits, lessons=300, width=8, learning_rate=0.01))


@pytest.fixture
def shop(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Paths:
    use_table_scorer(monkeypatch)
    return make_shop(tmp_path, params)


def buy_everything_once(shop: Paths) -> None:
    """Each user's events become one of each item at most."""
    sequences = read_sequences(shop.sequences)
    known = sequences.item_index + 1000 * sequences.owners
    first = np.isin(np.arange(len(known)), np.unique(known, return_index=True)[1])
    kept = sequences.keep(first)
    write_sequences(shop.sequences, Sequences(kept.item_index, kept.event_type, kept.occurred_at, kept.offsets))
    write_manifest(shop.sequences)


def test_items_are_grouped_by_category_and_by_the_category_above() -> None:
    groups = item_groups(Vocabulary(("a", "b", "c", "d", "e")), {"a": "food > milk", "b": "food > milk", "c": "food > tea", "d": "food", "e": ""})
    category, above = groups.T
    assert category[0] == category[1]
    assert len(set(category.tolist())) == 4
    assert above[0] == above[1] == above[2] == above[3] != above[4]


def test_habits_ship_in_the_bundle_with_the_latest_purchases_and_rank_as_well_as_frequency(shop: Paths, params: Params) -> None:
    make_habits(shop, params)
    learnt = read_habits(shop.habits, len(ITEMS) - 1)
    make_bundle(shop, params)
    bundle = open_bundle(shop.bundle)
    assert learnt is not None
    assert bundle.habits is not None
    assert np.array_equal(bundle.habits.facts.traits, learnt.facts.traits)
    assert not np.array_equal(bundle.habits.facts.recent, learnt.facts.recent)  # two weeks later
    assert {f"habits/{FILE}"} <= set(bundle.manifest.inputs)
    policies = make_metrics(shop, params).policies
    assert policies["habits"]["ndcg@10"] > 0.9 * policies["personal_frequency_90d"]["ndcg@10"] > 2 * policies["popularity_28d"]["ndcg@10"]


def test_what_habits_rank_first_was_bought_before_and_says_so(shop: Paths, params: Params) -> None:
    make_habits(shop, params)
    make_bundle(shop, params)
    fusion = shop.bundle / FUSION
    document = json.loads(fusion.read_text())
    document["weights"]["fused"] = {"model": 0.1, "personal_frequency": 0.0, "item_to_item": 0.1, "habits": 1.0}
    fusion.write_text(json.dumps(document))
    seal(shop.bundle)
    recommender = Recommender.open(shop.bundle)
    known = [recommender.vocabulary.item_ids[place] for place in (2, 7)]
    history = History([*known, known[1]], ["purchase"] * 3, [0, 10**12, 2 * 10**12])
    slate = recommender.recommend(recommender.encode([history]), 3 * 10**12, Wishes(5))[0]
    assert {line.item_id for line in slate.items[:2]} == set(known)
    assert [line.reason == "bought_before" for line in slate.items] == [True, True, False, False, False]


def test_the_same_arrays_give_the_same_bytes_and_nothing_from_the_cut_on_is_read(shop: Paths, params: Params) -> None:
    make_habits(shop, params)
    first = (shop.habits / FILE).read_bytes()
    sequences, split = read_sequences(shop.sequences), read_split(shop.sequences)
    scrambled = np.where(sequences.occurred_at >= split.train_end, 1, sequences.item_index).astype(np.int32)
    write_sequences(shop.sequences, Sequences(scrambled, sequences.event_type, sequences.occurred_at, sequences.offsets))
    write_manifest(shop.sequences)
    make_habits(shop, params)
    assert (shop.habits / FILE).read_bytes() == first


def test_where_nobody_buys_again_there_are_no_habits_and_the_bundle_does_without(shop: Paths, params: Params) -> None:
    buy_everything_once(shop)
    make_habits(shop, params)
    assert read_habits(shop.habits, len(ITEMS)) is None
    make_bundle(shop, params)
    bundle = open_bundle(shop.bundle)
    assert bundle.habits is None
    assert not (shop.bundle / HABITS_FILE).exists()
    assert "habits" not in bundle.fusion.weights["fused"]
    policies = make_metrics(shop, params).policies
    assert policies["habits"] == policies["personal_frequency_90d"]


def test_a_damaged_file_is_named(shop: Paths, params: Params) -> None:
    (shop.habits / FILE).write_bytes(b"no arrays")
    with pytest.raises(SourceError, match=r"habits cannot be read\n.*habits\.safetensors"):
        read_habits(shop.habits, 39)
    with pytest.raises(SourceError, match="habits"):
        make_bundle(shop, params)


def test_habits_of_another_vocabulary_are_refused_in_a_bundle(shop: Paths, params: Params) -> None:
    make_habits(shop, params)
    make_bundle(shop, params)
    arrays = load_file(shop.bundle / HABITS_FILE)
    save_file(arrays | {"traits": arrays["traits"][1:].copy()}, shop.bundle / HABITS_FILE)
    seal(shop.bundle)
    with pytest.raises(BundleError, match="habits cannot be used"):
        open_bundle(shop.bundle)


def seal(folder: Path) -> None:
    """Write the digests anew, as someone would who made a wrong bundle on purpose."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: file_digest(folder / name) for name in manifest["files"]}
    path.write_text(json.dumps(manifest))
    (folder / "manifest.sha256").write_text(file_digest(path) + "\n")
