"""Off-policy estimates: by hand, and in a small world whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.click_rates import cross_fitted
from footfall.core.figures import Resampling
from footfall.core.offpolicy import Estimate, Log, Terms, doubly_robust, ips, snips

ANY = Terms(minimum_effective=0.0, minimum_outcomes=0.0, maximum_uncovered=1.0)
"""Terms on which even three slates give a value."""

# A world of four items and three positions. Four slates are logged, so that each item stands at each position with a chance known by hand.
RATES = np.array([0.5, 0.4, 0.2, 0.1])
LOOKED_AT = np.array([1.0, 0.6, 0.4])
SLATES = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0], [3, 2, 1]])
SHARES = np.array([0.4, 0.3, 0.2, 0.1])
CHANCES = np.array([[0.4, 0.3, 0.2, 0.1], [0.3, 0.4, 0.1, 0.2], [0.2, 0.1, 0.4, 0.3]])
TARGET = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.3, 0.4, 0.1, 0.2]])
TRUTH = float((TARGET * RATES * LOOKED_AT[:, None]).sum())


def world(slates: int, seed: int, target: np.ndarray = TARGET) -> tuple[Log, np.ndarray, np.ndarray]:
    """A log of so many slates, with what a click model expects of the rows and of the target."""
    random = np.random.default_rng(seed)
    shown = SLATES[random.choice(len(SLATES), slates, p=SHARES)]
    slate, place = np.divmod(np.arange(shown.size), 3)
    item = shown.ravel()
    reward = (random.random(item.size) < (RATES[shown] * LOOKED_AT).ravel()).astype(np.float64)
    log = Log(slate, place + 1, reward, CHANCES[place, item], target[place, item])
    rates = cross_fitted(slate, place + 1, item, reward, np.arange(slates) % 5, len(RATES))
    every = rates.at(slate[:, None], place[:, None] + 1, np.arange(len(RATES)))
    return log, rates.at(slate, place + 1, item), (target[place] * every).sum(axis=1)


def all_three(slates: int, seed: int, terms: Terms | None = None) -> dict[str, Estimate]:
    """Every estimator on one log."""
    log, predicted, expected = world(slates, seed)
    return {found.estimator: found for found in (ips(log, terms), snips(log, terms), doubly_robust(log, predicted, expected, terms))}


def by_hand(**other: Any) -> Log:
    """Three slates of one or two positions, with weights 2, .5, 1, 0 and 1.5."""
    columns = {
        "slate": np.array([0, 0, 1, 1, 2]),
        "position": np.array([1, 2, 1, 2, 1]),
        "reward": np.array([1.0, 0.0, 1.0, 1.0, 0.0]),
        "propensity": np.array([0.25, 1.0, 0.5, 0.5, 0.4]),
        "target": np.array([0.5, 0.5, 0.5, 0.0, 0.6]),
    }
    return Log(**(columns | other))


def test_ips_is_what_the_arithmetic_gives_by_hand() -> None:
    found = ips(by_hand(), ANY)
    # weighted rewards of the slates: 2, 1 and 0; their standard deviation is 1
    assert found.value == pytest.approx(1.0)
    assert found.standard_error == pytest.approx(1 / np.sqrt(3))
    assert (found.low, found.high) == pytest.approx((1 - 1.959964 / np.sqrt(3), 1 + 1.959964 / np.sqrt(3)))
    assert found.mean_weight == pytest.approx(1.0)
    # Kish: 5^2 / (4 + .25 + 1 + 2.25) rows, as a share of five, of three slates; rewarded rows weigh 2, 1 and 0
    assert found.effective_slates == pytest.approx(25 / 7.5 / 5 * 3)
    assert found.effective_outcomes == pytest.approx(9 / 5)
    # logged: one, two and no clicks; the paired differences are 1, -1 and 0
    assert found.gain is not None
    assert found.gain.mean == pytest.approx(0.0)
    assert found.gain.high == pytest.approx(1.959964 / np.sqrt(3))


def test_snips_weights_each_position_by_itself() -> None:
    found = snips(by_hand(), ANY)
    # position 1: (2 + 1) / (2 + 1 + 1.5) on each of three slates; position 2: 0 / .5 on two of three
    assert found.value == pytest.approx(3 / 4.5)
    # influences at position 1: 3 * w * (r - 2/3) / 4.5 = 4/9, 2/9, -6/9; at position 2 nothing is learnt
    assert found.standard_error == pytest.approx(np.std([4 / 9, 2 / 9, -6 / 9], ddof=1) / np.sqrt(3))


def test_snips_counts_a_position_as_often_as_slates_have_it() -> None:
    """Four slates of one position each, two at the first and two at the second, with weights 1, 1, 1 and 3."""
    chance = np.array([0.5, 0.5, 0.5, 0.25])
    log = Log(np.arange(4), np.array([1, 1, 2, 2]), np.array([1.0, 0.0, 1.0, 0.0]), chance, np.array([0.5, 0.5, 0.5, 0.75]))
    found = snips(log, ANY)
    assert found.value == pytest.approx(0.5 * 1 / 2 + 0.5 * 1 / 4)
    assert found.standard_error == pytest.approx(np.std([0.5, -0.5, 0.375, -0.375], ddof=1) / 2)


def test_doubly_robust_is_the_model_plus_its_weighted_errors() -> None:
    predicted, expected = np.array([0.5, 0.2, 0.5, 0.2, 0.5]), np.array([0.6, 0.1, 0.6, 0.1, 0.6])
    found = doubly_robust(by_hand(), predicted, expected, ANY)
    # .7 + 2 * .5 - .5 * .2; .7 + .5 + 0; .6 - 1.5 * .5
    assert found.value == pytest.approx((1.6 + 1.2 - 0.15) / 3)
    nothing = np.zeros(5)
    assert doubly_robust(by_hand(), nothing, nothing, ANY).value == ips(by_hand(), ANY).value


def test_a_clipped_weight_is_stated_as_lost() -> None:
    found = ips(by_hand(), Terms(1.5, 0.0, 0.0))
    assert found.value == pytest.approx((1.5 + 1.0 + 0.0) / 3)
    assert found.lost == pytest.approx(0.5 / 5)
    assert found.mean_weight == pytest.approx(1.0)


def test_slates_of_one_user_count_as_one() -> None:
    doubled = by_hand(slate=np.array([0, 1, 2, 3, 4]), position=np.ones(5, np.int64))
    alike = by_hand(slate=np.array([0, 1, 2, 3, 4]), position=np.ones(5, np.int64), owner=np.array([7, 7, 8, 8, 9]))
    alone, owned = ips(doubled, ANY), ips(alike, ANY)
    assert alone.value == pytest.approx(0.6)
    assert owned.value == pytest.approx(0.6)
    # owners bring 2, 1 and 0 where .6 a slate was expected: 1.2, 1.2 and .6
    assert owned.standard_error == pytest.approx(np.std([0.8, -0.2, -0.6], ddof=1) * 3 / 5 / np.sqrt(3))


def test_the_policy_that_was_logged_gets_its_own_mean_and_no_gain() -> None:
    log = world(500, 3, CHANCES)[0]
    rows = log.reward.reshape(-1, 3).sum(axis=1)
    for found in (ips(log), snips(log)):
        assert found.value == pytest.approx(rows.mean())
        assert found.effective_slates == pytest.approx(500)
        assert found.gain == pytest.approx((0.0, 0.0, 0.0))
    assert ips(log).standard_error == pytest.approx(rows.std(ddof=1) / np.sqrt(500))


@pytest.mark.parametrize(("resampling", "times", "near"), [(None, 400, 0.035), (Resampling(150, 5), 120, 0.06)], ids=["normal", "bootstrapped"])
def test_intervals_hold_the_truth_about_as_often_as_they_say_and_estimates_have_no_bias(
    resampling: Resampling | None, times: int, near: float
) -> None:
    logs = [all_three(400, seed, Terms(resampling=resampling)) for seed in range(times)]
    spread = {}
    for name in ("ips", "snips", "doubly_robust"):
        found = [log[name] for log in logs]
        values = np.array([one.value for one in found])
        assert np.mean([one.low <= TRUTH <= one.high for one in found]) == pytest.approx(0.95, abs=near)
        assert abs(values.mean() - TRUTH) < 4 * values.std() / np.sqrt(len(values))
        assert np.mean([one.standard_error for one in found]) == pytest.approx(values.std(), rel=0.2 if resampling else 0.1)
        spread[name] = values.std()
    assert spread["snips"] < spread["ips"]
    assert spread["doubly_robust"] < spread["ips"]


def test_a_gain_is_known_better_than_the_two_sides_of_it() -> None:
    near = 0.8 * CHANCES + 0.2 * TARGET
    found = ips(world(2000, 1, near)[0])
    assert found.gain is not None
    assert found.standard_error is not None
    assert found.gain.high - found.gain.low < 2 * found.standard_error
    assert found.gain.low <= float(((near - CHANCES) * RATES * LOOKED_AT[:, None]).sum()) <= found.gain.high


def test_a_doubly_robust_estimate_is_right_when_only_the_model_is_wrong() -> None:
    log, _, _ = world(20_000, 8)
    found = doubly_robust(log, np.full(len(log.slate), 0.9), np.full(len(log.slate), 0.9))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= TRUTH <= found.high


def test_a_target_that_shows_what_was_never_logged_gets_no_value() -> None:
    log, *_ = world(2000, 2)
    shown = {name: getattr(log, name) for name in ("slate", "position", "reward", "propensity", "target")}
    told = snips(Log(**shown, covered=np.where(log.position == 1, 0.7, 1.0)))
    assert told.value is None
    assert told.gain is None
    assert told.reason == "support missing: 10.0% of what the target shows could never have been logged there"
    # nobody says what could have been logged, but a third of the weight that should be there is not
    noticed = snips(Log(**(shown | {"target": np.where(log.position == 1, 0.0, log.target)})))
    assert noticed.value is None
    assert noticed.reason is not None
    assert noticed.reason.startswith("support missing: the target shows what was never logged (mean weight 0.6")


def test_propensities_that_cannot_be_right_are_noticed() -> None:
    log, *_ = world(2000, 2)
    found = ips(Log(log.slate, log.position, log.reward, log.propensity / 2, log.target))
    assert found.value is None
    assert found.reason is not None
    assert found.reason.startswith("propensities cannot be right (mean weight ")


def test_too_little_data_gets_no_value_but_the_reason() -> None:
    assert "not enough data: the log is worth 2 slates of the target, 100 are needed" in str(ips(by_hand()).reason)
    few = ips(by_hand(), Terms(minimum_effective=1.0))
    assert "not enough data: the log is worth 2 rewarded positions of the target, 10 are needed" in str(few.reason)
    nothing = ips(by_hand(reward=np.zeros(5)), Terms(minimum_effective=1.0))
    assert (nothing.value, nothing.effective_outcomes) == (None, 0.0)
    never = ips(by_hand(target=np.zeros(5)))
    assert (never.value, never.effective_slates) == (None, 0.0)
    assert ips(by_hand(owner=np.zeros(3, np.int64)), ANY).reason == "not enough data: all slates are one user's"


def test_an_estimate_is_a_small_json_document() -> None:
    assert ips(by_hand(), ANY).as_dict() == {
        "estimator": "ips",
        "effective_slates": 2.0,
        "effective_outcomes": 1.8,
        "mean_weight": 1.0,
        "lost": 0.0,
        "reason": None,
        "value": 1.0,
        "low": -0.131586,
        "high": 2.131586,
        "standard_error": 0.57735,
        "gain": {"mean": 0.0, "low": -1.131586, "high": 1.131586},
    }
    assert ips(by_hand()).as_dict()["gain"] is None


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_snips_never_goes_beyond_what_was_seen(seed: int, mixed: float) -> None:
    log, *_ = world(30, seed, mixed * TARGET + (1 - mixed) * CHANCES)
    found = snips(log, ANY)
    if found.value is not None:
        assert 0.0 <= found.value <= 3.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reward": np.zeros(4)}, "columns of one length"),
        ({"slate": np.array([0, 0, 1, 1, 3])}, "numbered from 0"),
        ({"owner": np.zeros(2, np.int64)}, "numbered from 0"),
        ({"position": np.ones(5, np.int64)}, "each once a slate"),
        ({"position": np.array([0, 1, 1, 2, 1])}, "positions count from 1"),
        ({"propensity": np.array([0.0, 1.0, 0.5, 0.5, 0.4])}, "propensity above 0"),
        ({"target": np.full(5, 1.1)}, "chance from 0 to 1"),
        ({"reward": np.full(5, np.nan)}, "finite"),
    ],
)
def test_what_is_no_log_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        by_hand(**change)


def test_predictions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="finite prediction a row"):
        doubly_robust(by_hand(), np.zeros(4), np.zeros(5))
    with pytest.raises(ValueError, match="finite prediction a row"):
        doubly_robust(by_hand(), np.full(5, np.nan), np.zeros(5))
