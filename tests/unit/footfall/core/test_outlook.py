from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from footfall.core.outlook import EDGES_DAYS, SPANS, Outlook, exposure, span_of


def outlook(hazard: np.ndarray) -> Outlook:
    return Outlook(np.full((len(hazard), 7), 1 / 7), hazard)


def test_days_are_parted_by_hand() -> None:
    assert exposure(np.array([0.5, 5.0, 40.0])).tolist() == [[0.5, 0, 0, 0, 0, 0, 0], [1, 1, 2, 1, 0, 0, 0], [1, 1, 2, 3, 7, 14, 12]]
    assert span_of(np.array([0.0, 0.99, 1.0, 13.9, 14.0, 28.0, 400.0])).tolist() == [0, 0, 1, 4, 5, 6, 6]


@pytest.mark.parametrize("days", [0.3, 7.0, 14.0, 100.0])
def test_one_hazard_throughout_is_exponential(days: float) -> None:
    assert outlook(np.full((1, SPANS), 0.1)).purchase_within(days)[0] == pytest.approx(1 - np.exp(-0.1 * days))


@given(arrays(np.float64, (3, SPANS), elements=st.floats(0, 5)))
def test_a_longer_wait_is_never_less_likely_to_end(hazard: np.ndarray) -> None:
    chances = np.stack([outlook(hazard).purchase_within(days) for days in (0.0, *EDGES_DAYS[1:-1], 60.0)])
    assert (np.diff(chances, axis=0) >= 0).all()
    assert (chances[0] == 0).all()
    assert (chances <= 1).all()
