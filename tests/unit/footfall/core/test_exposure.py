from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from footfall.core.exposure import (
    average_popularity,
    category_diversity,
    exposure_by_group,
    exposure_gini,
    novelty,
    popularity_lift,
    tail_exposure,
)
from footfall.core.sequences import Sequences

COUNTS = np.array([4, 2, 1, 1, 0])
SLATES = np.array([[1, 2, 3], [5, 0, 0], [0, 0, 0]])
ITEMS = 7
slates = hnp.arrays(np.int32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.integers(0, ITEMS))


def histories(*users: list[int]) -> Sequences:
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    items = np.array([item for user in users for item in user], np.int32)
    return Sequences(items, np.zeros(len(items), np.int8), np.arange(len(items)), offsets)


def test_novelty_is_the_mean_of_bits_and_an_item_without_events_counts_as_one_with_a_single_event() -> None:
    assert novelty(SLATES, COUNTS, 3).tolist() == pytest.approx([(1 + 2 + 3) / 3, 3, 0])
    assert novelty(SLATES, COUNTS, 1).tolist() == pytest.approx([1, 3, 0])


def test_novelty_of_nothing_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one event"):
        novelty(SLATES, np.zeros(5, np.int64), 3)


def test_diversity_is_the_share_of_pairs_in_two_categories() -> None:
    categories = np.array([7, 7, 8, 9, 9])
    assert category_diversity(np.array([[1, 2, 3], [1, 3, 4], [1, 2, 0], [1, 0, 4], [5, 0, 0]]), categories, 3).tolist() == [2 / 3, 1, 0, 1, 0]
    assert category_diversity(np.array([[1, 2, 3]]), categories, 2).tolist() == [0]


def test_gini_of_exposure_by_hand() -> None:
    assert exposure_gini(np.array([[1, 2], [3, 4]]), 4, 2) == 0
    assert exposure_gini(np.array([[2], [2]]), 4, 1) == pytest.approx(3 / 4)  # one item takes all
    assert exposure_gini(np.array([[1, 2], [1, 0]]), 3, 2) == pytest.approx((-2 * 0 + 0 * 1 + 2 * 2) / (3 * 3))
    with pytest.raises(ValueError, match="empty"):
        exposure_gini(np.array([[0, 0]]), 4, 2)


def test_average_popularity_is_the_mean_share_of_what_is_shown() -> None:
    assert average_popularity(SLATES, COUNTS, 3).tolist() == pytest.approx([7 / 24, 0, 0])


def test_slates_twice_as_popular_as_histories_have_a_lift_of_one() -> None:
    assert popularity_lift(np.array([[1], [1]]), histories([2], [2, 2]), COUNTS, 1) == pytest.approx(1)
    assert popularity_lift(np.array([[2], [3]]), histories([2], [3]), COUNTS, 1) == pytest.approx(0)
    assert popularity_lift(np.array([[3, 4], [1, 0]]), histories([2, 3], [1]), COUNTS, 2) == pytest.approx((1 + 4) / (1.5 + 4) - 1)


def test_users_without_history_or_slate_do_not_count_in_the_lift() -> None:
    shown = np.array([[1], [1], [0]])
    assert popularity_lift(shown, histories([2], [0], [4]), COUNTS, 1) == pytest.approx(1)
    with pytest.raises(ValueError, match="nobody"):
        popularity_lift(shown, histories([], [], [4]), COUNTS, 1)
    with pytest.raises(ValueError, match="3 slates for 1 users"):
        popularity_lift(shown, histories([2]), COUNTS, 1)


@given(slates, hnp.arrays(np.int64, ITEMS, elements=st.integers(0, 50)), hnp.arrays(np.int64, ITEMS, elements=st.integers(0, 3)), st.integers(1, 7))
def test_figures_are_bounded_and_the_order_inside_the_cut_off_changes_none(shown: np.ndarray, counts: np.ndarray, codes: np.ndarray, k: int) -> None:
    counts[0] += 1
    turned = shown[:, :k][:, ::-1]
    bits, apart, popular = novelty(shown, counts, k), category_diversity(shown, codes, k), average_popularity(shown, counts, k)

    assert np.all((bits >= 0) & (bits <= np.log2(counts.sum()) + 1e-12))
    assert np.all((apart >= 0) & (apart <= 1))
    assert np.all((popular >= 0) & (popular <= 1))
    assert novelty(turned, counts, k) == pytest.approx(bits)
    assert np.array_equal(category_diversity(turned, codes, k), apart)
    assert average_popularity(turned, counts, k) == pytest.approx(popular)
    if shown[:, :k].any():
        assert 0 <= exposure_gini(shown, ITEMS, k) <= (ITEMS - 1) / ITEMS + 1e-12


def test_exposure_by_group_discounts_positions() -> None:
    slates = np.array([[1, 2, 3], [2, 0, 0]])  # discounts 1, 1 / log2(3), 1 / 2
    third = 1 / np.log2(3)
    found = exposure_by_group(slates, np.array([0, 1, 0, 2]), ("", "acme", "zeta"), np.array([5, 3, 2, 0]), 3)
    assert list(found) == ["", "acme", "zeta"]
    assert found[""] == pytest.approx((1.5 / (2.5 + third), 0.7, 0.5))
    assert found["acme"] == pytest.approx(((1 + third) / (2.5 + third), 0.3, 0.25))
    assert found["zeta"] == (0.0, 0.0, 0.25)
    assert exposure_by_group(slates, np.array([0, 1, 0, 2]), ("", "acme", "zeta"), np.array([5, 3, 2, 0]), 1)["acme"].exposure == 0.5


def test_exposure_of_the_tail_is_that_of_all_but_the_items_that_sell_most() -> None:
    counts = np.array([70, 20, 10])  # the first holds 70 of 100: a tail of 30 is the other two
    assert tail_exposure(np.array([[1, 2]]), counts, 0.3, 2) == pytest.approx(((1 / np.log2(3)) / (1 + 1 / np.log2(3)), 0.3, 2 / 3))
    assert tail_exposure(np.array([[1, 0]]), counts, 0.3, 2).exposure == 0.0


def test_exposure_of_nothing_is_refused() -> None:
    for slates, counts in ((np.zeros((2, 3), int), np.ones(2, int)), (np.ones((2, 3), int), np.zeros(2, int))):
        with pytest.raises(ValueError, match="a filled position and an event"):
            exposure_by_group(slates, np.zeros(2, int), ("all",), counts, 3)
