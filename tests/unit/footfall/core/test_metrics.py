from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from footfall.core.metrics import coverage, hit_matrix, top_k, user_metrics


def flat(*baskets: list[int]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(basket) for basket in baskets])]).astype(np.int64)
    return offsets, np.array([item for basket in baskets for item in basket], dtype=np.int32)


def test_known_figures_by_hand() -> None:
    slates = np.array([[3, 1, 2], [4, 5, 6]])
    offsets, items = flat([1, 2], [9, 6, 0, 0])
    found = user_metrics(slates, offsets, items, 3)
    assert found.recall.tolist() == [1.0, 1 / 3]  # two targets: of 2; four targets: of 3
    first = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    second = (1 / math.log2(4)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))
    assert found.ndcg.tolist() == pytest.approx([first, second])
    assert found.reciprocal_rank.tolist() == [1 / 2, 1 / 3]
    assert found.hit.tolist() == [1.0, 1.0]


def test_a_target_outside_the_vocabulary_counts_and_is_never_hit() -> None:
    offsets, items = flat([0, 0, 1])
    found = user_metrics(np.array([[1, 0, 0]]), offsets, items, 10)
    assert found.recall.tolist() == [1 / 3]
    assert hit_matrix(np.array([[0, 1, 0]]), offsets, items).tolist() == [[False, True, False]]


def test_nobody_to_hit_gives_zeros() -> None:
    found = user_metrics(np.array([[1, 2]]), *flat([0]), 2)
    assert [found.recall[0], found.ndcg[0], found.reciprocal_rank[0], found.hit[0]] == [0, 0, 0, 0]


def test_a_perfect_slate_scores_one_whatever_the_basket_size() -> None:
    offsets, items = flat([1], [1, 2, 3, 4, 5])
    found = user_metrics(np.array([[1, 2, 3], [5, 4, 3]]), offsets, items, 3)
    assert found.recall.tolist() == [1, 1]
    assert found.ndcg.tolist() == pytest.approx([1, 1])


def test_users_without_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="without targets"):
        user_metrics(np.array([[1]]), np.array([0, 0]), np.array([], np.int32), 1)
    with pytest.raises(ValueError, match="2 slates for 1 users"):
        user_metrics(np.array([[1], [1]]), *flat([1]), 1)


def test_coverage_counts_distinct_items_shown() -> None:
    assert coverage(np.array([[1, 2, 7], [2, 3, 8]]), items=4, k=2) == 3 / 4


def test_equal_scores_go_to_the_lower_item() -> None:
    scores = np.array([[1.0, 5.0, 1.0, 5.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert top_k(scores, 4).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]


def test_nan_has_no_place_in_an_order() -> None:
    with pytest.raises(ValueError, match="NaN"):
        top_k(np.array([[1.0, float("nan"), 0.0]]), 1)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5000001, 3.0])),
    st.integers(1, 40),
)
def test_top_k_is_the_head_of_a_stable_sort(scores: np.ndarray, k: int) -> None:
    assert np.array_equal(top_k(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


@given(
    hnp.arrays(np.float32, st.integers(3_500, 9_000), elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 3.0])),
    st.integers(1, 300),
    st.sampled_from([1, 1_000, 1 << 40]),
    st.integers(0, 1 << 30),
)
def test_top_k_of_a_long_row_is_the_head_of_a_stable_sort(ties: np.ndarray, k: int, kinds: int, seed: int) -> None:
    scores = ties + np.random.default_rng(seed).integers(0, kinds, len(ties)).astype(np.float32)  # from nothing but ties to hardly any
    for row in (scores, np.sort(scores), np.sort(scores)[::-1]):
        assert np.array_equal(top_k(row[None], k)[0], np.argsort(-row, kind="stable")[:k])


@pytest.mark.parametrize("column", [0, 2_100, 4_095, 4_096, 4_999])
def test_nan_is_found_wherever_it_stands_in_a_long_row(column: int) -> None:
    scores = np.arange(5_000, dtype=np.float32)[None]
    scores[0, column] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        top_k(scores, 100)
