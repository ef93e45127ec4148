from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from footfall.core.isotonic import LEAST, Steps, fit_isotonic

CASES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=60)


def columns(cases: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    scores, outcomes = zip(*cases, strict=True)
    return np.array(scores, np.float64), np.array(outcomes, np.float64)


def by_the_formula(scores: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Barlow's max-min formula: at a score, the highest over lower bounds of the lowest mean from there up to higher bounds."""
    values = np.unique(scores)
    mean = {(low, high): outcomes[(scores >= low) & (scores <= high)].mean() for low in values for high in values if low <= high}
    fitted = {one: max(min(mean[low, high] for high in values if high >= one) for low in values if low <= one) for one in values}
    return np.array([fitted[one] for one in scores])


def test_neighbours_in_the_wrong_order_are_put_together() -> None:
    steps = fit_isotonic(np.array([1.0, 2, 3, 4, 5]), np.array([0.0, 1, 0, 1, 1]))
    assert steps.starts.tolist() == [1, 2, 4]
    assert steps.levels.tolist() == [LEAST, 0.5, 1 - LEAST]


def test_equal_scores_are_one_case() -> None:
    steps = fit_isotonic(np.array([2.0, 2, 2, 1]), np.array([1.0, 0, 0, 0]))
    assert steps.starts.tolist() == [1, 2]
    assert steps.levels.tolist() == [LEAST, 1 / 3]


def test_a_score_takes_the_level_of_the_block_it_lies_in() -> None:
    steps = Steps(np.array([1.0, 3.0]), np.array([0.2, 0.6]))
    assert steps.of(np.array([[0.0, 1.0], [2.9, 3.0]])).tolist() == [[0.2, 0.2], [0.2, 0.6]]


def test_a_block_that_is_too_small_joins_the_neighbour_whose_level_is_nearer() -> None:
    scores = np.repeat([1.0, 2.0, 3.0], [10, 2, 10])
    outcomes = np.concatenate([np.repeat([1.0, 0], [1, 9]), [1.0, 0], np.repeat([1.0, 0], [6, 4])])
    assert fit_isotonic(scores, outcomes).levels.tolist() == [0.1, 0.5, 0.6]
    supported = fit_isotonic(scores, outcomes, support=3)
    assert supported.starts.tolist() == [1, 2]
    assert supported.levels.tolist() == [0.1, 7 / 12]


def test_fewer_cases_than_a_block_needs_are_one_block() -> None:
    assert fit_isotonic(np.array([1.0, 2.0]), np.array([0.0, 1.0]), support=9).levels.tolist() == [0.5]


@pytest.mark.parametrize(("scores", "outcomes"), [([], []), ([1.0, np.nan], [0.0, 1.0]), ([1.0], [0.0, 1.0])])
def test_what_cannot_be_fitted_is_refused(scores: list[float], outcomes: list[float]) -> None:
    with pytest.raises(ValueError, match="needs finite scores"):
        fit_isotonic(np.array(scores), np.array(outcomes))


@given(CASES)
def test_it_is_the_fit_that_the_formula_gives(cases: list[tuple[int, int]]) -> None:
    scores, outcomes = columns(cases)
    expected = np.clip(by_the_formula(scores, outcomes), LEAST, 1 - LEAST)
    assert np.allclose(fit_isotonic(scores, outcomes).of(scores), expected, atol=1e-12)


@given(CASES, st.integers(1, 20))
def test_levels_ascend_and_the_mean_stays(cases: list[tuple[int, int]], support: int) -> None:
    scores, outcomes = columns(cases)
    steps = fit_isotonic(scores, outcomes, support)
    fitted = steps.of(scores)
    assert (np.diff(steps.starts) > 0).all()
    assert (np.diff(steps.levels) >= 0).all()
    assert (fitted > 0).all()
    assert (fitted < 1).all()
    assert fitted.mean() == pytest.approx(outcomes.mean(), abs=2 * LEAST)
    assert min(np.unique(fitted, return_counts=True)[1]) >= min(support, len(cases))


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-5, 5).map(lambda x: round(x, 2))), st.randoms())
def test_it_is_what_scikit_learn_says(scores: np.ndarray, random: object) -> None:
    sklearn = pytest.importorskip("sklearn.isotonic")
    outcomes = np.array([random.randint(0, 1) for _ in scores], np.float64)  # type: ignore[attr-defined]
    theirs = sklearn.IsotonicRegression(y_min=LEAST, y_max=1 - LEAST).fit(scores, outcomes).predict(scores)
    assert np.allclose(fit_isotonic(scores, outcomes).of(scores), theirs, atol=1e-9)
