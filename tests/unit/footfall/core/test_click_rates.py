from __future__ import annotations

import numpy as np
import pytest

from footfall.core.click_rates import cross_fitted


def test_rates_are_fitted_without_the_fold_that_they_are_read_for() -> None:
    """Two slates of two positions, a fold each; a prior of one click."""
    slate, position, item = np.array([0, 0, 1, 1]), np.array([1, 2, 1, 2]), np.array([1, 2, 2, 1])
    rates = cross_fitted(slate, position, item, np.array([1.0, 0.0, 1.0, 1.0]), np.array([0, 1]), 3, prior=1.0)
    # slate 0 is predicted from slate 1, where both positions had their click, as usual
    assert rates.at(slate, position, item)[:2].tolist() == [1.0, 1.0]
    # slate 1 is predicted from slate 0: position 2 had no click, and item 1 at position 1 had the usual one
    assert rates.at(slate, position, item)[2:].tolist() == [1.0, 0.0]
    # an item that nobody saw is as usual
    assert rates.at(np.array([1]), np.array([1]), np.array([3])).tolist() == [1.0]


def test_an_item_is_judged_against_its_positions_and_drawn_to_the_usual() -> None:
    """Four slates, all in the fold that is not left out: item 1 is clicked twice of two, item 2 not at all of two, on a position of rate one half."""
    slate, item = np.arange(5), np.array([1, 1, 2, 2, 1])
    rates = cross_fitted(slate, np.ones(5, np.int64), item, np.array([1.0, 1.0, 0.0, 0.0, 0.0]), np.array([0, 0, 0, 0, 1]), 2, prior=1.0)
    # clicks plus one, over the clicks that the position promised plus one: 3 / 2 and 1 / 2
    assert rates.at(np.array([4, 4]), np.array([1, 1]), np.array([1, 2])) == pytest.approx([0.75, 0.25])


def test_what_cannot_be_fitted_is_refused() -> None:
    one, click = np.zeros(1, np.int64), np.ones(1)
    with pytest.raises(ValueError, match="two folds"):
        cross_fitted(one, one + 1, one, click, one, 1)
    with pytest.raises(ValueError, match="rewards of 0 or more"):
        cross_fitted(one, one + 1, one, -click, one + 1, 1)
