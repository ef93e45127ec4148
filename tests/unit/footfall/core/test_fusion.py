from __future__ import annotations

import numpy as np
import pytest

from footfall.core.fusion import ITEM_TO_ITEM, MODEL, PERSONAL, Grid, choose_weights, fuse, join, odds_of_best, pool, share_of_best
from footfall.core.metrics import top_k

OFFSETS = np.array([0, 1, 2], np.int64)


def parts(model: list[list[float]], personal: list[list[float]], neighbours: list[list[float]]) -> dict[str, np.ndarray]:
    return {MODEL: np.array(model, float), PERSONAL: np.array(personal, float), ITEM_TO_ITEM: np.array(neighbours, float)}


def test_each_part_is_normalised_within_its_user() -> None:
    assert share_of_best(np.array([[2.0, 4.0], [0.0, 0.0]])).tolist() == [[0.5, 1.0], [0.0, 0.0]]
    assert odds_of_best(np.array([[1000.0, 1000.0 - np.log(4)]], np.float64), 2.0)[0].tolist() == pytest.approx([1.0, 0.5])


def test_fusing_adds_weighted_parts_and_leaves_them_alone() -> None:
    given = parts([[1, 0]], [[0, 1]], [[1, 1]])
    assert fuse(given, {MODEL: 0.5, PERSONAL: 1.0, ITEM_TO_ITEM: 0.25}).tolist() == [[0.75, 1.25]]
    assert given[MODEL].tolist() == [[1, 0]]
    assert fuse({PERSONAL: given[PERSONAL]}, {MODEL: 0.0, PERSONAL: 1.0}).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="every weight"):
        fuse(given, {MODEL: 0.0})


def test_validation_finds_the_part_that_knows() -> None:
    given = parts([[0, 0, 1], [0, 1, 0]], [[0.5, 0, 0], [0.5, 0, 0]], [[1, 0, 0], [1, 0, 0]])
    chosen = choose_weights(pool(given), OFFSETS, np.array([3, 2], np.int32), Grid([0.0, 0.1, 1.0], [0.0, 1.0], [1.0]), 1)
    assert chosen.weights == {MODEL: 1.0, PERSONAL: 1.0, ITEM_TO_ITEM: 0.0}
    assert (chosen.ndcg, chosen.tried) == (1.0, 6)


def test_a_part_that_adds_nothing_gets_no_weight() -> None:
    given = parts([[0, 1], [1, 0]], [[1, 0], [0, 1]], [[0, 0], [0, 0]])
    chosen = choose_weights(pool(given), OFFSETS, np.array([1, 2], np.int32), Grid([0.0, 0.5, 2.0], [0.0, 0.5], [1.0, 2.0]), 1)
    assert chosen.weights == {MODEL: 0.0, PERSONAL: 1.0, ITEM_TO_ITEM: 0.0}


def test_a_pool_keeps_each_parts_best_once_and_chunks_join_in_order() -> None:
    random = np.random.default_rng(0)
    given = {name: random.random((5, 40)) for name in (MODEL, PERSONAL, ITEM_TO_ITEM)}
    whole = pool(given, 6)
    for user in range(5):
        kept = set(whole.items[user].tolist()) - {0}
        assert kept == {int(item) + 1 for scores in given.values() for item in np.argsort(-scores[user])[:6]}
        assert len(kept) == (whole.items[user] > 0).sum()
    halves = join([pool({n: s[:2] for n, s in given.items()}, 6), pool({n: s[2:] for n, s in given.items()}, 6)])
    assert np.array_equal(halves.items, whole.items)
    assert np.array_equal(halves.parts[MODEL], whole.parts[MODEL])


def test_a_pooled_choice_equals_a_full_ranking() -> None:
    random = np.random.default_rng(2)
    given = {name: random.random((30, 25)) for name in (MODEL, PERSONAL, ITEM_TO_ITEM)}
    targets, offsets = random.integers(1, 26, 60).astype(np.int32), np.arange(0, 61, 2, dtype=np.int64)
    grid = Grid([0.0, 0.3, 1.0], [0.0, 0.3], [1.0, 3.0])
    assert choose_weights(pool(given, 25), offsets, targets, grid, 5) == choose_weights(pool(given, 15), offsets, targets, grid, 5)


def test_validation_chooses_the_temperature_too() -> None:
    # Item 2 is right; its odds of 0.16 beat the personal 0.3 of item 1 only when heated to 0.4.
    given = parts([[0.0, 0.16, 1.0]], [[0.3, 0.0, 0.0]], [[0, 0, 0]])
    candidates, offsets, targets = pool(given), np.array([0, 1], np.int64), np.array([2], np.int32)
    cold = choose_weights(candidates, offsets, targets, Grid([1.0], [0.0], [1.0]), 2)
    chosen = choose_weights(candidates, offsets, targets, Grid([1.0], [0.0], [1.0, 2.0]), 2)
    assert (cold.ndcg, chosen.temperature, chosen.tried) == (0.0, 2.0, 2)
    assert chosen.ndcg > 0
    heated = odds_of_best(np.log(np.maximum(given[MODEL], 1e-30)), 2.0)
    assert top_k(heated + given[PERSONAL], 2).tolist() == [[2, 1]]


def test_without_the_model_no_temperature_is_tried() -> None:
    assert [temperature for _, temperature in Grid([0.0], [0.0], [1.0, 2.0]).combinations()] == [1.0]
