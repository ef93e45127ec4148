"""Item-to-item by users instead of by items: the same scores as `closed_form`, and what does not fit is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.core.closed_form import Linear, fit_cosine, fit_ease, moment_ages
from footfall.core.factored import Factored, factored_cosine, factored_ease, fit_within
from footfall.core.sequences import Sequences

ITEMS = 6


def histories(users: list[list[int]], moments: list[int] | None = None) -> Sequences:
    lengths = [len(user) for user in users]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.array([item for user in users for item in user], np.int32)
    at = np.arange(len(items)) if moments is None else np.array(moments)
    return Sequences(items, np.full(len(items), 4, np.int8), at.astype(np.int64), offsets)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, ITEMS), max_size=6), min_size=1, max_size=5), st.sampled_from([0.3, 1.0]))
def test_both_forms_score_alike(users: list[list[int]], decay: float) -> None:
    shop = histories(users)
    pairs = (
        (factored_ease(shop, ITEMS, 0.7, decay), fit_ease(shop, ITEMS, 0.7, decay)),
        (factored_cosine(shop, ITEMS, decay), fit_cosine(shop, ITEMS, decay)),
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.scores(shop), theirs.scores(shop), rtol=1e-3, atol=1e-4)


def test_the_items_of_one_basket_are_equally_old() -> None:
    shop = histories([[1, 2, 3], [], [4, 5]], [10, 10, 20, 5, 6])
    assert moment_ages(shop).tolist() == [1, 1, 0, 1, 0]
    assert not len(moment_ages(histories([[], []])))


def test_the_smaller_form_is_chosen_and_what_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = histories([[1, 2], [2, 3], [], [1, 3, 2]])
    assert isinstance(fit_within(shop, 3, 1.0, 0.7, 9, 0)["ease"], Linear)
    few = fit_within(shop, 5, 1.0, 0.7, 15, 0)
    assert isinstance(few["item_knn"], Factored)
    assert few["item_knn"].left.shape == (3, 5)  # nobody without events takes room
    monkeypatch.setattr("footfall.core.factored.LEAST_USERS", 2)
    drawn = fit_within(shop, 5, 1.0, 0.7, 10, 0)["ease"]
    assert isinstance(drawn, Factored)
    assert len(drawn.left) == 2
    assert fit_within(shop, 5, 1.0, 0.7, 9, 0) == {}
