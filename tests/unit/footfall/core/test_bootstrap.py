from __future__ import annotations

import numpy as np
import pytest

from footfall.core.bootstrap import interval, paired


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=500)
    assert interval(values, 200, 7) == interval(values, 200, 7)
    assert interval(values, 200, 7) != interval(values, 200, 8)


def test_the_interval_is_about_two_standard_errors_wide_on_each_side() -> None:
    values = np.random.default_rng(1).normal(size=2000)
    found = interval(values, 1000, 7)
    error = values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.1)
    assert found.mean - found.low == pytest.approx(1.96 * error, rel=0.1)


def test_pairing_removes_what_both_share() -> None:
    shared = np.random.default_rng(1).normal(size=300)
    found = paired(shared + 0.01, shared, 200, 7)
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))


def test_figures_that_cannot_be_resampled_are_refused() -> None:
    with pytest.raises(ValueError, match="no users"):
        interval(np.array([]), 10, 7)
    with pytest.raises(ValueError, match="finite"):
        interval(np.array([1.0, np.nan]), 10, 7)
    with pytest.raises(ValueError, match="differ in users"):
        paired(np.zeros(2), np.zeros(3), 10, 7)
