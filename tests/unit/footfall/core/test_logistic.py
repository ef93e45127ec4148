from __future__ import annotations

import math

import numpy as np
import pytest

from footfall.core.logistic import fit_choice, fit_logistic, softmax

NEARLY_FREE = 1e-9


def test_two_groups_get_their_own_shares() -> None:
    """A figure that is 0 or 1 saturates the model: chances are the shares of each group."""
    figures = np.repeat([[0.0], [1.0]], [4, 5], axis=0)
    labels = np.array([1, 0, 0, 0, 1, 1, 1, 1, 0])
    found = fit_logistic(figures, labels, 2, NEARLY_FREE).chances(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(found[:, 1], [1 / 4, 4 / 5], atol=2e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_without_figures_that_differ_everybody_is_told_the_average() -> None:
    found = fit_logistic(np.full((10, 2), 3.0), np.array([0] * 5 + [1] * 3 + [2] * 2), 4).chances(np.full((1, 2), 3.0))
    np.testing.assert_allclose(found[0, :3], [0.5, 0.3, 0.2], atol=2e-3)
    assert found[0, 3] < 1e-3  # a class that never came


def test_no_step_from_the_fitted_weights_goes_down() -> None:
    draw = np.random.default_rng(3)
    figures = draw.normal(size=(60, 3))
    labels = (figures @ [1.0, -2.0, 0.5] + draw.normal(size=60) > 0).astype(np.int64) + (figures[:, 2] > 1)
    found = fit_logistic(figures, labels, 3, 0.7)

    def loss(weights: np.ndarray) -> float:
        told = np.column_stack([(figures - found.mean) * found.scale, np.ones(60)])
        fits = -np.log(softmax(told @ weights)[np.arange(60), labels]).sum()
        return float(fits + 0.7 / 2 * (weights[:-1] ** 2).sum() + 1e-3 / 2 * (weights[-1] ** 2).sum())

    least = loss(found.weights)
    assert least < 60 * math.log(3)
    for _ in range(50):
        assert loss(found.weights + 0.05 * draw.normal(size=found.weights.shape)) > least


def test_classes_that_a_figure_parts_wholly_keep_finite_weights() -> None:
    found = fit_logistic(np.array([[-1.0], [-1.0], [1.0], [1.0]]), np.array([0, 0, 1, 1]), 2)
    assert np.isfinite(found.weights).all()
    assert found.chances(np.array([[1.0]]))[0, 1] > 0.7


def test_a_choice_between_two_is_the_logarithm_of_its_odds() -> None:
    marked = np.array([[1.0], [0.0]])
    found = fit_choice([marked] * 4, [np.array([1.0, 0.0])] * 3 + [np.array([0.0, 1.0])], NEARLY_FREE)
    assert found[0] == pytest.approx(math.log(3), abs=1e-4)


def test_half_a_choice_counts_half() -> None:
    marked = np.array([[1.0], [0.0], [0.0]])
    found = fit_choice([marked] * 2, [np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.0, 0.0])], NEARLY_FREE)
    assert softmax((marked @ found)[None])[0, 0] == pytest.approx(0.5, abs=1e-4)


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no cases to fit"):
        fit_logistic(np.empty((0, 2)), np.empty(0, np.int64), 2)
    with pytest.raises(ValueError, match="no cases to fit"):
        fit_choice([np.ones((2, 1))], [np.zeros(2)])
