from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES
from footfall.core.baselines import DAY_US, fit_item_to_item, personal_frequency, popularity
from footfall.core.sequences import Sequences

BUY, VIEW = EVENT_TYPES.index("purchase"), EVENT_TYPES.index("view")


def sequences(*users: list[tuple[int, float]], kind: int = BUY) -> Sequences:
    """Users as lists of (item_index, day)."""
    events = [event for user in users for event in user]
    return Sequences(
        np.array([item for item, _ in events], np.int32),
        np.full(len(events), kind, np.int8),
        np.array([round(day * DAY_US) for _, day in events], np.int64),
        np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64),
    )


def test_popularity_counts_the_days_before_the_moment_and_nothing_from_it_on() -> None:
    histories = sequences([(1, 71.9), (1, 72), (2, 99.9), (0, 99)], [(2, 90), (3, 100), (1, 101)])
    assert popularity(histories, 4, 100 * DAY_US, 28).tolist() == [1, 2, 0, 0]


def test_views_are_no_purchases() -> None:
    assert popularity(sequences([(1, 99)], kind=VIEW), 1, 100 * DAY_US, 28).tolist() == [0]
    assert personal_frequency(sequences([(1, 99)], kind=VIEW), 1, 90).tolist() == [[0]]


def test_a_purchase_counts_half_after_one_half_life() -> None:
    scores = personal_frequency(sequences([(1, 0), (2, 90), (2, 90)], []), 3, 90)
    assert scores[0].tolist() == pytest.approx([0.5, 2.0, 0.0])
    assert scores[1].tolist() == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), min_size=1, max_size=30), st.integers(-200, 4000))
def test_shifting_all_moments_changes_no_personal_score(events: list[tuple[int, int]], shift: int) -> None:
    ordered = sorted(events, key=lambda event: event[1])
    before = personal_frequency(sequences([(i, float(d)) for i, d in ordered]), 5, 90)
    after = personal_frequency(sequences([(i, float(d + shift)) for i, d in ordered]), 5, 90)
    assert np.array_equal(before, after)


def test_a_user_scores_the_same_alone_as_in_a_batch() -> None:
    random = np.random.default_rng(3)
    users = [
        [(int(item), float(day)) for item, day in zip(random.integers(0, 9, 20), np.sort(random.uniform(0, 200, 20)), strict=True)] for _ in range(6)
    ]
    together, fitted = personal_frequency(sequences(*users), 8, 90), fit_item_to_item(sequences(*users), 8, 3)
    for position, user in enumerate(users):
        alone = personal_frequency(sequences(user), 8, 90)
        assert np.array_equal(together[[position]], alone)
        assert np.array_equal(fitted.scores(together)[[position]], fitted.scores(alone))


def test_similarity_is_the_cosine_of_baskets() -> None:
    # baskets: {1, 2}, {1, 2, 3}, {1}, {3, 4}; buying an item twice in one basket counts once
    histories = sequences([(1, 1), (2, 1), (2, 1), (1, 2), (2, 2), (3, 2)], [(1, 2), (3, 5), (0, 5), (4, 5)])
    fitted = fit_item_to_item(histories, 5, 2)
    assert fitted.neighbours[0].tolist() == [1, 2]
    assert fitted.similarities[0].tolist() == pytest.approx([2 / math.sqrt(3 * 2), 1 / math.sqrt(3 * 2)])
    assert fitted.neighbours[3].tolist() == [2, 0]
    assert fitted.similarities[3].tolist() == pytest.approx([1 / math.sqrt(2), 0])
    assert fitted.similarities[4].tolist() == [0, 0]


def test_two_users_at_one_moment_are_two_baskets() -> None:
    fitted = fit_item_to_item(sequences([(1, 1)], [(2, 1)]), 2, 1)
    assert fitted.similarities.tolist() == [[0], [0]]


def test_item_to_item_equals_a_dense_product_across_blocks() -> None:
    random, items = np.random.default_rng(5), 300  # more than one block of rows
    histories = sequences(*([(int(item), float(day // 4)) for day, item in enumerate(random.integers(0, items + 1, 120))] for _ in range(20)))
    fitted = fit_item_to_item(histories, items, items)
    baskets = np.zeros((20 * 30, items))
    for user in range(20):
        for day in range(120):
            if item := histories.item_index[user * 120 + day]:
                baskets[user * 30 + day // 4, item - 1] = 1
    norm = np.sqrt(np.maximum(baskets.sum(axis=0), 1))
    dense = baskets.T @ baskets / norm / norm[:, None]
    np.fill_diagonal(dense, 0)
    interest = random.random((4, items))
    assert fitted.scores(interest) == pytest.approx(interest @ dense, rel=1e-5)


def test_nothing_bought_gives_no_neighbours() -> None:
    fitted = fit_item_to_item(sequences([], []), 3, 2)
    assert fitted.similarities.tolist() == [[0, 0]] * 3
