from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES
from footfall.core.chances import DEPTH, PACE, READ, ChanceModel, bought_within, evenly, fit_chances, from_document, together
from footfall.core.isotonic import Steps
from footfall.core.sequences import DAY_US, Sequences

PURCHASE, VIEW = EVENT_TYPES.index("purchase"), EVENT_TYPES.index("view")


def buying_shop(seed: int = 3, users: int = 400, depth: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, pace, the true chance and what came: the chance is the score's, times the user's own pace."""
    random = np.random.default_rng(seed)
    scores = np.sort(random.random((users, depth)), axis=1)[:, ::-1]
    eager = random.random(users)
    pace = np.zeros((users, len(PACE)))
    pace[:, PACE.index("purchases_28d")] = np.log1p(20 * eager)
    truth = 0.8 * scores * eager[:, None]
    return scores, pace, truth, random.random(truth.shape) < truth


def test_what_is_said_comes_true_for_users_of_every_pace() -> None:
    scores, pace, truth, came = buying_shop()
    model = fit_chances(scores, pace, came)
    assert model is not None
    said = model.chances(scores, scores.sum(axis=1), pace)
    for slow_or_fast in np.array_split(np.argsort(pace[:, PACE.index("purchases_28d")]), 4):
        assert said[slow_or_fast].mean() == pytest.approx(truth[slow_or_fast].mean(), abs=0.03)
    assert np.abs(said - truth).mean() < 0.05
    assert said.mean() == pytest.approx(came.mean(), abs=1e-3)


@given(st.integers(0, 50))
def test_within_a_user_a_better_score_never_has_a_lower_chance(seed: int) -> None:
    scores, pace, _, came = buying_shop(seed, users=30, depth=12)
    model = fit_chances(scores, pace, came)
    assert model is not None
    said = model.chances(scores, scores.sum(axis=1), pace)
    assert (np.diff(said, axis=1) <= 0).all()


def test_a_score_that_misleads_says_nothing_instead_of_turning_the_ranking_round() -> None:
    scores, pace, _, came = buying_shop()
    model = fit_chances(scores[:, ::-1], pace, came)
    assert model is not None
    assert model.weights[0] == 0


@pytest.mark.parametrize("came", [np.zeros((3, 2), bool), np.ones((3, 2), bool), np.zeros((0, 2), bool)])
def test_where_all_or_nothing_was_bought_there_is_nothing_to_learn(came: np.ndarray) -> None:
    assert fit_chances(np.ones(came.shape), np.zeros((len(came), len(PACE))), came) is None


def test_a_score_that_is_no_number_has_no_chance() -> None:
    model = ChanceModel(np.array([1.0, *[0.0] * (len(READ) - 1)]), Steps(np.array([-50.0, np.log(0.5)]), np.array([0.1, 0.4])))
    said = model.chances(np.array([[0.9, 0.2, -np.inf]]), np.ones(1), np.zeros((1, len(PACE))))
    assert said[0, :2].tolist() == [0.4, 0.1]
    assert np.isnan(said[0, 2])


def test_one_user_and_many_are_told_the_same_to_the_last_digit() -> None:
    scores, pace, _, came = buying_shop()
    model = fit_chances(scores, pace, came)
    assert model is not None
    said = model.chances(scores, scores.sum(axis=1), pace)
    alone = [model.chances(scores[[user]], scores[[user]].sum(axis=1), pace[[user]]) for user in range(50)]
    assert np.array_equal(np.concatenate(alone), said[:50])


def test_the_best_scores_are_added_up_and_what_is_taken_out_is_not() -> None:
    rows = np.concatenate([np.full(DEPTH, 2.0), np.full(50, 1.0)])[None].repeat(2, axis=0)
    rows[1, :60] = -np.inf
    assert together(rows).tolist() == [2.0 * DEPTH, 2.0 * (DEPTH - 60) + 50]


def test_a_purchase_counts_from_the_moment_to_seven_days_later() -> None:
    at = 100 * DAY_US
    moments = [at - 1, at, at + 7 * DAY_US - 1, at + 7 * DAY_US, at + 5, at + 6]
    kinds = [PURCHASE] * 4 + [VIEW, PURCHASE]
    events = Sequences(np.array([1, 2, 3, 4, 5, 0], np.int32), np.array(kinds, np.int8), np.array(moments), np.array([0, 4, 4, 6]))
    columns = np.array([[0, 1, 2, 3], [0, 1, 2, 3], [4, 3, 2, 1]])
    found = bought_within(events, np.array([0, 1, 2]), at, columns)
    assert found.tolist() == [[False, True, True, False], [False] * 4, [False] * 4]
    assert bought_within(events, np.array([2, 0]), at, columns[[2, 0]]).tolist() == [found[2].tolist(), found[0].tolist()]


def test_users_are_drawn_evenly() -> None:
    assert evenly(np.arange(10) * 3, 4).tolist() == [0, 6, 15, 21]
    assert evenly(np.arange(3), 4).tolist() == [0, 1, 2]


def test_a_model_comes_back_from_its_numbers() -> None:
    scores, pace, _, came = buying_shop()
    model = fit_chances(scores, pace, came)
    assert model is not None
    weights = dict(zip(READ, model.weights.tolist(), strict=True))
    again = from_document(dict(reversed(weights.items())), model.steps.starts.tolist(), model.steps.levels.tolist())
    assert np.array_equal(again.chances(scores, scores.sum(axis=1), pace), model.chances(scores, scores.sum(axis=1), pace))


GOOD = dict.fromkeys(READ, 0.5)


@pytest.mark.parametrize(
    ("weights", "starts", "levels", "what"),
    [
        ({"score": 1.0}, [0.0], [0.5], "weights of"),
        (GOOD, [0.0, float("nan")], [0.1, 0.5], "not finite"),
        (GOOD, [], [], "do not ascend"),
        (GOOD, [0.0, 0.0], [0.1, 0.5], "do not ascend"),
        (GOOD, [0.0, 1.0], [0.5, 0.1], "do not ascend"),
        (GOOD, [0.0], [0.1, 0.5], "do not ascend"),
        (GOOD, [0.0], [1.0], "outside 0 to 1"),
        (GOOD, [0.0], [0.0], "outside 0 to 1"),
        (GOOD | {"score": -0.1}, [0.0], [0.5], "lowers"),
    ],
)
def test_numbers_that_are_no_chances_are_refused(weights: dict[str, float], starts: list[float], levels: list[float], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        from_document(weights, starts, levels)
