from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.classification import auc, auc_of_few, calibration, equal_parts, log_losses, many_class_figures, two_class_figures

TENTHS = st.integers(0, 10).map(lambda tenths: tenths / 10)
CASES = st.lists(st.tuples(st.booleans(), TENTHS), min_size=1, max_size=30)


def test_two_classes_by_hand() -> None:
    found = two_class_figures(np.array([1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.4, 0.6, 0.1]))
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["auc"] == pytest.approx(5 / 6)  # of six pairs only .4 against .6 is the wrong way round
    assert found["log_loss"] == pytest.approx(-math.log(0.9 * 0.8 * 0.4 * 0.4 * 0.9) / 5)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.36 + 0.36 + 0.01) / 5)


def test_many_classes_by_hand() -> None:
    chances = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.2, 0.6, 0.2], [0.3, 0.6, 0.1]])
    found = many_class_figures(np.array([0, 1, 1, 0]), chances)
    assert found["accuracy"] == pytest.approx(2 / 4)
    assert found["precision"] == pytest.approx(0.5)  # class 0: 1 of 2, class 1: 1 of 2; class 2 never came
    assert found["recall"] == pytest.approx(0.5)
    assert found["f1"] == pytest.approx(0.5)
    assert found["auc"] == pytest.approx((3 / 4 + (1 + 0.5 + 1) / 4) / 2)
    assert found["brier"] == pytest.approx((0.14 + 0.62 + 0.24 + 0.86) / 4)
    assert found["log_loss"] == pytest.approx(-math.log(0.7 * 0.4 * 0.6 * 0.3) / 4)


def test_calibration_by_hand() -> None:
    found = calibration(np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.25, 0.35, 0.95, 1.0]), bins=2)
    assert found["table"] == [
        {"from": 0.0, "to": 0.5, "cases": 2, "said": pytest.approx(0.3), "came": 0.5},
        {"from": 0.5, "to": 1.0, "cases": 2, "said": pytest.approx(0.975), "came": 1.0},
    ]
    assert found["error"] == pytest.approx((2 * 0.2 + 2 * 0.025) / 4)


def test_what_is_said_and_comes_as_often_has_no_error() -> None:
    outcomes = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    assert calibration(outcomes, np.repeat([0.25, 0.75], 4))["error"] == 0.0


@given(CASES)
def test_auc_counts_pairs_and_ties_are_half(cases: list[tuple[bool, float]]) -> None:
    yes, scores = np.array([one for one, _ in cases]), np.array([score for _, score in cases])
    pairs = [(above > below) + (above == below) / 2 for above in scores[yes] for below in scores[~yes]]
    expected = pytest.approx(np.mean(pairs)) if pairs else None
    assert auc(yes, scores) == expected
    assert auc(yes, np.exp(scores) * 3) == expected  # only the order counts
    assert auc_of_few(scores, np.flatnonzero(yes)) == expected
    if pairs:
        assert auc(~yes, scores) == pytest.approx(1 - np.mean(pairs))


@given(CASES)
def test_every_share_lies_between_nothing_and_all(cases: list[tuple[bool, float]]) -> None:
    found = two_class_figures(np.array([one for one, _ in cases]), np.array([score for _, score in cases]))
    for name in ("accuracy", "precision", "recall", "f1", "brier"):
        assert 0 <= found[name] <= 1
    assert 0 <= found["calibration"]["error"] <= 1
    assert sum(row["cases"] for row in found["calibration"]["table"]) == len(cases)


def test_calibration_in_equal_parts_tells_rare_chances_apart() -> None:
    """Two halves, one that says .02 and never comes, one that says .04 and comes as 1 in 10: equal widths see .03 against .05 in one bin."""
    chances, came = np.repeat([0.04, 0.02], 10), np.repeat([1.0, 0.0], [1, 19])
    assert calibration(came, chances)["error"] == pytest.approx(0.02)
    found = equal_parts(came, chances, 2)
    assert found["error"] == pytest.approx((0.02 + 0.06) / 2)
    assert found["table"][1] == {"from": 0.04, "to": 0.04, "cases": 10, "said": pytest.approx(0.04), "came": pytest.approx(0.1)}


@given(CASES, st.integers(1, 12))
def test_equal_parts_hold_every_case_once_and_equal_chances_together(cases: list[tuple[bool, float]], parts: int) -> None:
    came, chances = np.array([float(one) for one, _ in cases]), np.array([score for _, score in cases])
    table = equal_parts(came, chances, parts)["table"]
    assert sum(row["cases"] for row in table) == len(cases)
    assert sum(row["cases"] * row["came"] for row in table) == pytest.approx(came.sum())
    assert all(lower["to"] < upper["from"] for lower, upper in itertools.pairwise(table))


def test_a_chance_of_nothing_costs_much_and_not_infinity() -> None:
    assert log_losses(np.array([1]), np.array([[1.0, 0.0]]))[0] == pytest.approx(-math.log(1e-12))


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(ValueError, match="no cases"):
        two_class_figures(np.array([], np.int64), np.array([]))
    with pytest.raises(ValueError, match="2 labels for 1"):
        many_class_figures(np.array([0, 1]), np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match="label 2 has no column"):
        many_class_figures(np.array([2]), np.array([[0.5, 0.5]]))
