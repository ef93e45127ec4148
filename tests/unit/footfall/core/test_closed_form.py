from __future__ import annotations

import numpy as np
import pytest

from footfall.core.closed_form import fit_cosine, fit_ease, recency
from footfall.core.sequences import Sequences


def histories(*users: list[int]) -> Sequences:
    lengths = [len(user) for user in users]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.array([item for user in users for item in user], np.int32)
    return Sequences(items, np.full(len(items), 4, np.int8), np.arange(len(items), dtype=np.int64), offsets)


def test_the_newest_event_counts_one_and_each_older_one_less() -> None:
    found = recency(histories([1, 2, 1], [], [0, 3]), 3, 0.5)
    assert found.tolist() == [[1.25, 0.5, 0], [0, 0, 0], [0, 0, 1]]


def test_ease_is_the_ridge_regression_of_each_item_on_all_others() -> None:
    shop = histories([1, 2], [1, 2, 3], [2, 3], [1, 3], [1, 2])
    found = fit_ease(shop, 3, regularisation=0.5, decay=0.7).weights
    clicks = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    for column in range(3):
        others = [item for item in range(3) if item != column]
        x, y = clicks[:, others], clicks[:, column]
        np.testing.assert_allclose(found[others, column], np.linalg.solve(x.T @ x + 0.5 * np.eye(2), x.T @ y), rtol=1e-4)
        assert found[column, column] == 0


def test_cosine_counts_users_in_common() -> None:
    found = fit_cosine(histories([1, 2], [1, 2, 1], [1, 3], [1]), 3, decay=1.0)
    assert found.weights[0, 1] == pytest.approx(2 / np.sqrt(4 * 2))
    assert found.weights[1, 2] == 0
    assert not np.diag(found.weights).any()
    np.testing.assert_allclose(found.scores(histories([2, 3])), [[2 / np.sqrt(8) + 1 / 2, 0, 0]], rtol=1e-6)


def test_scores_are_recency_times_weights() -> None:
    shop = histories([1, 2, 3, 1], [0, 2], [], [3, 0, 3])
    fitted = fit_ease(shop, 3, regularisation=1.0, decay=0.5)
    np.testing.assert_allclose(fitted.scores(shop), recency(shop, 3, 0.5) @ fitted.weights, rtol=1e-5)
