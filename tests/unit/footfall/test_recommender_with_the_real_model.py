from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from footfall.bundle import Content, write_bundle
from footfall.bundle_files import VOCABULARY_FILE
from footfall.core.baselines import ItemToItem
from footfall.core.explanations import without
from footfall.core.fusion import ITEM_TO_ITEM, MODEL
from footfall.errors import BundleError
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.recommender import POLICIES, History, Recommender, Wishes
from footfall.stages.train import write_weights
from tests.unit.footfall.small_shop import DAY_US, FUSION, make_bundle_by_hand
from tests.unit.poison import reseal

NOW = 1000 * DAY_US
ITEMS = 7


def real_bundle(folder: Path, *, known: int = ITEMS, spoil: float | None = None) -> Path:
    """A bundle with an untrained sequence model of `known` items and a vocabulary of ITEMS."""
    torch.manual_seed(0)
    source = folder.parent / f"{folder.name}-weights"
    write_weights(source, SequenceModel(SequenceConfig(items=known, dim=8, blocks=1, heads=2, max_events=50)))
    if spoil is not None:
        arrays = load_file(source / "model.safetensors")
        arrays["item.weight"][2, 1] = spoil
        save_file(arrays, source / "model.safetensors")
    by_hand = make_bundle_by_hand(folder.parent / f"{folder.name}-hand", items=ITEMS)
    neighbours = ItemToItem(np.roll(np.arange(ITEMS, dtype=np.int32), -1)[:, None], np.full((ITEMS, 1), 0.5, np.float32))
    moments = dict.fromkeys(("as_of", "train_end", "validation_end"), "2020-06-01T00:00:00+00:00")
    content = Content(np.arange(ITEMS, 0, -1, dtype=np.float64), neighbours, FUSION)
    write_bundle(folder, weights=source, vocabulary=by_hand / VOCABULARY_FILE, content=content, facts={"inputs": {}, "params": {}} | moments)
    return folder


def histories() -> list[History]:
    random = np.random.default_rng(4)
    return [
        History([str(item) for item in random.choice(list("abcdefgX"), size)], ["purchase"] * size, np.sort(random.integers(0, NOW, size)))
        for size in (0, 1, 3, 40, 70)
    ]


def test_one_request_equals_its_row_in_a_batch(tmp_path: Path) -> None:
    recommender = Recommender.open(real_bundle(tmp_path / "bundle"))
    for policy in POLICIES:
        together = recommender.recommend(recommender.encode(histories()), NOW, Wishes(5), policy=policy)
        alone = [recommender.recommend(recommender.encode([history]), NOW, Wishes(5), policy=policy)[0] for history in histories()]
        for one, other in zip(together, alone, strict=True):
            assert [(line.item_id, line.reason) for line in one.items] == [(line.item_id, line.reason) for line in other.items]
            assert [line.score for line in one.items] == pytest.approx([line.score for line in other.items], rel=1e-5)
            assert one.degraded == other.degraded


def test_two_openings_answer_alike(tmp_path: Path) -> None:
    one, two = (Recommender.open(real_bundle(tmp_path / name)) for name in ("one", "two"))
    assert one.release_id == two.release_id
    assert np.array_equal(one.scores(one.encode(histories()), NOW), two.scores(two.encode(histories()), NOW))


def test_what_an_explanation_says_of_an_event_is_lost_without_it(tmp_path: Path) -> None:
    """By hand: the served score of an item that is no part's best, with the history and without the one event."""
    recommender = Recommender.open(real_bundle(tmp_path / "bundle"))
    (sequences,) = (recommender.encode([history]) for history in histories() if len(history.item_ids) == 40)
    whole = recommender.scores(sequences, NOW)[0]
    parts = recommender.parts(sequences, NOW, {MODEL, ITEM_TO_ITEM}).scores
    column = next(int(one) for one in np.argsort(-whole) if max(parts[MODEL][0, one], parts[ITEM_TO_ITEM][0, one]) < 1)
    (told,) = recommender.explain(sequences, NOW, np.array([column]))
    assert 1 <= len(told.events) <= 3
    for event in told.events:
        left = recommender.scores(without(sequences, [[event.place]]), NOW)[0, column]
        assert event.share == pytest.approx((whole[column] - left) / whole[column], rel=1e-3)
        assert event.occurred_at_us == sequences.occurred_at[event.place]


def test_both_scorers_explain_alike(tmp_path: Path) -> None:
    folder = real_bundle(tmp_path / "bundle")
    one, two = Recommender.open(folder), Recommender.open(folder, streaming=True)
    for history in histories():
        sequences = one.encode([history])
        found, again = (each.explain(sequences, NOW, np.arange(ITEMS)) for each in (one, two))
        for ours, theirs in zip(found, again, strict=True):
            assert (ours.item_id, ours.reason) == (theirs.item_id, theirs.reason)
            assert [event.share for event in ours.events] == pytest.approx([event.share for event in theirs.events], rel=1e-2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_weight_that_is_no_number_is_named(tmp_path: Path, value: float) -> None:
    with pytest.raises(BundleError, match=r"model\.safetensors: item\.weight"):
        Recommender.open(real_bundle(tmp_path / "bundle", spoil=value))


def test_a_model_of_other_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="other items than the vocabulary"):
        Recommender.open(real_bundle(tmp_path / "bundle", known=ITEMS - 1))


def test_a_foreign_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="do not fit the model"):
        Recommender.open(make_bundle_by_hand(tmp_path / "bundle"))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "change", [{"items": 10**12}, {"dim": 10**9}, {"blocks": 10**12}, {"heads": 10**12}, {"channels": 10**12}, {"dim": -8}, {"dim": "8"}]
)
def test_a_configuration_that_asks_for_all_the_memory_is_refused(tmp_path: Path, change: dict[str, object], streaming: bool) -> None:
    folder = real_bundle(tmp_path / "bundle")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    reseal(folder)
    with pytest.raises(BundleError, match="do not fit the model"):
        Recommender.open(folder, streaming=streaming)
