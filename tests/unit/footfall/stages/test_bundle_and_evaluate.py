"""Stages bundle and evaluate on a small shop: what they write, that it repeats, and that no test label leaks into the bundle."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from footfall.arrays.histories import read_sequences, write_sequences
from footfall.arrays.windows import read_split
from footfall.bundle import open_bundle
from footfall.core.promotion import decide
from footfall.core.sequences import Sequences
from footfall.documents import Metrics
from footfall.errors import BundleError, ContractError, ParamsError, SourceError
from footfall.judging import judge
from footfall.manifest import write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.recommender import POLICIES
from footfall.stages.bundle import make_bundle
from footfall.stages.evaluate import make_metrics
from footfall.tables import read_parquet, write_parquet
from tests.unit.footfall.small_shop import make_shop, small_params, use_table_scorer


@pytest.fixture(scope="module")
def params(checkout: Path) -> Params:
    return small_params(checkout)


@pytest.fixture
def shop(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Paths:
    use_table_scorer(monkeypatch)
    return make_shop(tmp_path, params)


def test_the_manifest_says_where_everything_came_from(shop: Paths, params: Params) -> None:
    release = make_bundle(shop, params)
    bundle = open_bundle(shop.bundle)
    assert bundle.release_id == release
    manifest = bundle.manifest
    assert (manifest.as_of, manifest.train_end, manifest.validation_end) == tuple(
        moment.isoformat() for moment in (params.data.as_of, params.train_end, params.test_start)
    )
    assert {"weights/model.safetensors", "sequences/offsets.npy", "sequences/targets_validation.parquet"} <= set(manifest.inputs)
    assert manifest.params["baselines"]["half_life_days"] == params.baselines.half_life_days


def test_bundle_and_metrics_repeat_byte_for_byte(shop: Paths, params: Params) -> None:
    seen = []
    for _ in range(2):
        make_bundle(shop, params)
        make_metrics(shop, params)
        seen.append([path.read_bytes() for path in (*sorted(shop.bundle.iterdir()), shop.metrics_report)])
    assert seen[0] == seen[1]


def test_metrics_hold_every_policy_slice_and_difference(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    metrics = Metrics.from_json(make_metrics(shop, params).to_json())
    assert metrics.to_json() == shop.metrics_report.read_text()
    assert set(metrics.policies) == {*POLICIES, "popularity_7d", "ease_recency", "item_knn_recency"}
    for figures in metrics.policies.values():
        low, high = figures["interval"]["ndcg@10"]
        assert 0 <= low <= figures["ndcg@10"] <= high <= 1
        for k in (5, 10, 20):
            assert {f"recall@{k}", f"ndcg@{k}", f"mrr@{k}", f"hit_rate@{k}", f"coverage@{k}"} <= set(figures)
            assert f"hit_rate@{k}" in figures["interval"]
        assert figures["mrr"] == figures["mrr@10"]
        assert {"novelty@10", "average_popularity@10", "popularity_lift@10", "exposure_gini@10", "category_diversity@10"} <= set(figures)
    by_user = {"cold_user", "short_history", "long_history", "repeat_basket", "explore_basket"}
    assert set(metrics.slices) == by_user | {"head_item", "tail_item", "cold_item"}
    for sliced in metrics.slices.values():
        assert sliced["users"] == 0 or set(metrics.policies) < set(sliced)
    assert sum(metrics.slices[name]["targets"] for name in ("head_item", "tail_item")) == metrics.protocol["targets"]
    assert set(metrics.differences) == {"fused_minus_best_baseline", "fused_minus_fused_without_model", "model_minus_best_baseline"}
    habits, favourites = metrics.policies["personal_frequency_90d"], metrics.policies["popularity_28d"]
    assert habits["ndcg@10"] > favourites["ndcg@10"]  # users of this shop buy their own four habits
    assert metrics.differences["fused_minus_best_baseline"]["subtrahend"] == "personal_frequency_90d"


def test_metrics_say_who_is_shown(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    exposure = make_metrics(shop, params).exposure
    assert set(exposure) == {"k", "tail"}  # nothing in this catalogue has a brand
    assert set(exposure["tail"]["exposure"]) == {*POLICIES, "popularity_7d", "ease_recency", "item_knn_recency"}
    path = shop.tables / "catalogue.parquet"
    catalogue = read_parquet(path, next_step="none")
    brands = pa.array([None if number % 4 == 3 else "abc"[number % 4] for number in range(catalogue.num_rows)], pa.string())
    write_parquet(path, catalogue.set_column(catalogue.column_names.index("brand"), "brand", brands))
    write_manifest(shop.tables)
    said = make_metrics(shop, params).exposure
    assert said["tail"] == exposure["tail"]
    groups = [*said["brands"]["largest"], said["brands"]["without"]]
    assert {one.get("brand") for one in groups} == {"a", "b", "c", None}
    for policy in POLICIES:
        assert sum(one["exposure"][policy] for one in groups) == pytest.approx(1, abs=1e-5)


def test_metrics_of_the_schema_before_stay_readable() -> None:
    policies = {"fused": {"ndcg@10": 0.2}}
    old = json.dumps({"schema": "footfall.metrics/1", "protocol": {"k": 10}, "policies": policies, "slices": {}, "differences": {}})
    assert Metrics.from_json(old).policies == policies
    newer = Metrics.from_json(json.dumps(json.loads(old.replace("metrics/1", "metrics/2")) | {"heads": {"a": 1}}))
    assert (newer.heads, newer.purchase_chance, newer.explanations) == ({"a": 1}, {}, {})
    third = {name: value for name, value in newer.as_dict().items() if name != "exposure"} | {
        "schema": "footfall.metrics/3",
        "explanations": {"b": 2},
    }
    newest = Metrics.from_json(json.dumps(third))
    assert (newest.heads, newest.explanations, newest.exposure) == ({"a": 1}, {"b": 2}, {})
    with pytest.raises(ContractError, match="another schema"):
        Metrics.from_json(old.replace("metrics/1", "metrics/9"))


def test_a_cut_off_that_is_not_reported_cannot_be_decided_by(shop: Paths, params: Params) -> None:
    odd = dataclasses.replace(params, evaluate=dataclasses.replace(params.evaluate, cutoffs=[5, 20]))
    with pytest.raises(ParamsError, match="k is no cut-off"):
        make_metrics(shop, odd)


def test_a_shop_too_large_for_linear_baselines_is_evaluated_without_them(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    metrics = make_metrics(shop, dataclasses.replace(params, evaluate=dataclasses.replace(params.evaluate, linear_cells=10)))
    assert set(metrics.policies) == {*POLICIES, "popularity_7d"}


def test_the_gate_measures_what_evaluation_reports(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    reported = make_metrics(shop, params)
    evidence = judge(None, shop.bundle, shop.tables, params)
    assert evidence["overall"]["challenger"] == pytest.approx(reported.policies["fused"]["ndcg@10"], abs=1e-6)
    assert evidence["overall"]["users"] == reported.protocol["users"]
    for name, measured in evidence["slices"].items():
        assert measured["users"] == reported.slices[name]["users"]
        assert measured["challenger"] == pytest.approx(reported.slices[name]["fused"]["ndcg@10"], abs=1e-6)
    assert decide(evidence, params.release)[0] == "promote"


def test_no_test_label_reaches_the_bundle(shop: Paths, params: Params) -> None:
    """Whatever happens in the test window, the learnt files are the same."""
    make_bundle(shop, params)
    before = {path.name: path.read_bytes() for path in shop.bundle.iterdir()}
    split, sequences = read_split(shop.sequences), read_sequences(shop.sequences)
    scrambled = np.where(sequences.occurred_at >= split.test_start, 1, sequences.item_index).astype(np.int32)
    write_sequences(shop.sequences, Sequences(scrambled, sequences.event_type, sequences.occurred_at, sequences.offsets))
    (shop.sequences / "targets_test.parquet").unlink()
    write_manifest(shop.sequences)
    make_bundle(shop, params)
    after = {path.name: path.read_bytes() for path in shop.bundle.iterdir()}
    assert sorted(name for name in before if before[name] != after[name]) == ["manifest.json", "manifest.sha256"]


def test_neighbours_are_learnt_before_the_training_cut(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    before = open_bundle(shop.bundle).item_to_item
    split, sequences = read_split(shop.sequences), read_sequences(shop.sequences)
    write_sequences(shop.sequences, sequences.before(split.train_end))
    write_manifest(shop.sequences)
    make_bundle(shop, params)
    assert np.array_equal(open_bundle(shop.bundle).item_to_item.similarities, before.similarities)


def test_a_bundle_of_another_moment_is_not_evaluated(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    later = dataclasses.replace(params, data=dataclasses.replace(params.data, as_of=params.data.as_of + timedelta(days=28)))
    with pytest.raises(BundleError, match="another moment"):
        make_metrics(shop, later)


def test_missing_weights_are_named(shop: Paths, params: Params) -> None:
    (shop.weights / "model.safetensors").unlink()
    with pytest.raises(SourceError, match=r"cannot be read\n.*model\.safetensors"):
        make_bundle(shop, params)


def test_fused_weights_come_from_the_grid_and_validation_is_told(shop: Paths, params: Params) -> None:
    make_bundle(shop, params)
    fusion = json.loads((shop.bundle / "fusion.json").read_text())
    assert fusion["weights"]["fused"]["model"] in params.fusion.model_weights
    assert fusion["weights"]["fused_without_model"]["model"] == 0
    assert fusion["validation"]["fused"]["ndcg@10"] >= fusion["validation"]["fused_without_model"]["ndcg@10"]
    grid = params.fusion
    combinations = (1 + (len(grid.model_weights) - 1) * len(grid.temperatures)) * len(grid.item_to_item_weights)
    assert fusion["validation"]["fused"]["tried"] == combinations
    assert fusion["temperature"] in grid.temperatures
