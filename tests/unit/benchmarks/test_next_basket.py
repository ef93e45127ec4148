"""The race for the next basket: what the peers compute, and what its rows say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.contestants.neighbour_blend import Decay, neighbour_means, run, vectors
from benchmarks.journey import Window, best_slates, params_at, read_task
from benchmarks.next_basket import FULL, LAMBDAMART, SHORT, Found, not_shipped, rows
from footfall.contracts import EVENT_TYPES
from footfall.core.baselines import DAY_US
from footfall.core.sequences import Sequences
from footfall.params import load_params
from tests.unit.footfall.small_shop import make_shop, small_params

BUY = EVENT_TYPES.index("purchase")


def test_a_vector_is_the_mean_of_groups_of_baskets_decayed_within_and_between() -> None:
    item, day = np.array([1, 2, 1, 3], np.int32), np.array([0, 1, 1, 2])
    history = Sequences(item, np.full(4, BUY, np.int8), day * DAY_US, np.array([0, 4], np.int64))
    found = vectors(history, 3, Decay(group=2, within=0.5, between=0.1))[0]
    # newest group: baskets {3} and {1, 2} at half, the mean of two; older group: {1}, at a tenth; the mean of two groups
    assert found == pytest.approx([(0.5 / 2 + 0.1) / 2, 0.5 / 2 / 2, 1 / 2 / 2])
    assert vectors(history, 3, Decay(half_life_days=1.0))[0] == pytest.approx(np.array([0.75, 0.5, 1]) / np.linalg.norm([0.75, 0.5, 1]))


def test_neighbours_are_the_nearest_others() -> None:
    everybody = np.array([[0, 0], [1, 0], [0, 3], [9, 9]], np.float32)
    assert neighbour_means(everybody[[0]], everybody, np.array([0]), 2).tolist() == [[0.5, 1.5]]
    assert neighbour_means(everybody[[3]], everybody, np.array([3]), 900).tolist() == pytest.approx(np.array([[1 / 3, 1]]))


def test_popular_items_come_first_among_equals_and_nowhere_else() -> None:
    assert best_slates(np.array([[0, 0.5, 0, 0]], np.float32), np.array([1.0, 0, 2, 9]), 3).tolist() == [[2, 4, 3]]


def test_a_task_ends_before_its_labels_and_the_blend_finds_the_habits_of_a_small_shop(tmp_path: Path, checkout: Path) -> None:
    params = small_params(checkout)
    task = read_task(make_shop(tmp_path, params).sequences, params)
    for window in (task.validation, task.test):
        assert max(window.history.occurred_at.max(), window.everybody.occurred_at.max()) < window.at
        assert len(window.history) == len(window.targets)
        assert isinstance(window, Window)
    assert task.train.occurred_at.max() < task.validation.at < task.test.at
    figures, chosen = run(task, 10)
    popular = task.test.ndcg(best_slates(np.zeros((len(figures), task.items)), task.test.popularity, 10), 10)
    assert figures.mean() > 2 * popular.mean()
    assert chosen["validation"] > 2 * popular.mean()


def test_rows_compare_the_fused_policy_with_everybody_user_by_user() -> None:
    found = Found(chosen=[{"fused": {"model": 0.1}, LAMBDAMART: {"leaves": 15}}] * 2)
    for ours in (0.25, 0.35):
        for policy, less in (("fused", 0.0), ("personal_frequency_90d", 0.02), (LAMBDAMART, -0.01)):
            found.add(policy, np.full(50, ours - less))
    frequency, surely, ranker, not_surely = rows(found, ("2017-09-03", "2017-11-26"))
    assert (frequency.ours, frequency.peer) == (pytest.approx(0.3), pytest.approx(0.28))
    assert (frequency.holds, ranker.holds) == (True, False)
    assert (surely.ours, surely.holds, not_surely.ours, not_surely.holds) == (pytest.approx(0.02), True, pytest.approx(-0.01), False)
    assert "fused minus personal_frequency_90d, lower end" in surely.what
    assert frequency.notes is not None
    assert frequency.notes["by_moment"] == {"2017-09-03": [0.25, 0.23], "2017-11-26": [0.35, 0.33]}
    assert (frequency.notes["users"], frequency.notes["difference"], frequency.notes["above_zero"]) == (100, [0.02] * 3, True)
    assert ranker.notes is not None
    assert ranker.notes["chosen"] == [{"leaves": 15}] * 2


def test_an_interval_that_touches_zero_is_no_gain() -> None:
    found = Found(chosen=[{"fused": {}}])
    for policy in ("fused", "popularity_28d", LAMBDAMART):
        found.add(policy, np.full(50, 0.25))
    popular, ranker, surely = rows(found, ("2017-09-03",))
    assert (popular.holds, ranker.holds, surely.ours, surely.holds) == (False, True, 0.0, False)


def test_baselines_that_do_not_ship_are_ranked_for_the_same_users(tmp_path: Path, checkout: Path) -> None:
    params = small_params(checkout)
    paths = make_shop(tmp_path, params)
    task = read_task(paths.sequences, params)
    found = not_shipped(paths, task, params)
    assert set(found) == {"popularity_7d", "ease_recency", "item_knn_recency"}
    assert all(task.test.ndcg(slates, 10).shape == (len(task.test.targets),) for slates in found.values())


def test_moments_are_days_of_the_year_that_the_package_holds(checkout: Path) -> None:
    params = load_params(checkout / "params.yaml")
    assert set(SHORT) < set(FULL)
    assert [params_at(params, moment).data.as_of.isoformat() for moment in SHORT] == [f"{moment}T00:00:00+00:00" for moment in SHORT]
