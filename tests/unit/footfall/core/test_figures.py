"""Figures as they are reported, from ranks and slates known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from footfall.core.figures import Learnt, Resampling, best_of, difference, from_ranks, from_slates, means, on_slice, shown, with_intervals
from footfall.core.sequences import Sequences

RESAMPLING = Resampling(50, 7)


def test_figures_of_several_runs_are_each_users_mean() -> None:
    figures = from_ranks([np.array([0, 30]), np.array([2, 30])])
    assert figures["ndcg@10"].tolist() == [0.75, 0.0]
    assert means(figures)["hit_rate@5"] == 0.5


def test_slates_and_ranks_of_one_target_agree() -> None:
    slates, offsets, targets = np.array([[4, 7, 9], [1, 2, 3]]), np.array([0, 1, 2]), np.array([9, 8], np.int32)
    found, expected = from_slates(slates, offsets, targets, (2, 3)), from_ranks([np.array([2, 50])], (2, 3))
    assert {name: values.tolist() for name, values in found.items()} == {name: values.tolist() for name, values in expected.items()}


def test_intervals_stand_under_the_names_that_were_asked_for() -> None:
    said = with_intervals(from_ranks([np.array([0, 0])]), ["ndcg@10"], RESAMPLING)
    assert (said["recall@20"], said["interval"]) == (1, {"ndcg@10": [1, 1]})


def test_a_slice_is_measured_on_its_users_alone_and_may_be_empty() -> None:
    policies = {"a": from_ranks([np.array([0, 30, 30])])}
    users = np.array([True, False, False])
    assert on_slice(policies, users, ["ndcg@10", "recall@10"], RESAMPLING) == {"users": 1, "a": {"ndcg@10": 1, "recall@10": 1, "interval": [1, 1]}}
    assert on_slice(policies, users & False, ["ndcg@10"], RESAMPLING) == {"users": 0}


def test_a_difference_is_paired_and_the_best_is_found() -> None:
    policies = {"a": from_ranks([np.array([0, 4, 0])]), "b": from_ranks([np.array([1, 4, 1])]), "c": from_ranks([np.array([0, 4, 0])])}
    assert difference(policies, "a", "c", "ndcg@10", RESAMPLING)["interval"] == [0, 0]
    assert difference(policies, "b", "a", "hit_rate@10", RESAMPLING)["hit_rate@10"] == 0
    assert best_of(policies, ["b", "a", "c"], "ndcg@10") == "a"


def test_what_is_shown_is_measured_against_what_was_learnt() -> None:
    history = Sequences(np.array([1, 2], np.int32), np.full(2, 4, np.int8), np.arange(2, dtype=np.int64), np.array([0, 1, 2], np.int64))
    learnt = Learnt(np.array([2, 1, 1]), history, np.array([0, 0, 1]))
    found = shown(np.array([[1, 2], [1, 3]]), learnt, 1)
    assert found["coverage@1"] == pytest.approx(1 / 3, abs=1e-6)
    assert (found["novelty@1"], found["average_popularity@1"]) == (1.0, 0.5)
    assert found["popularity_lift@1"] == pytest.approx(0.5 / 0.375 - 1, abs=1e-6)
    assert found["exposure_gini@1"] == pytest.approx(2 / 3, abs=1e-6)
    assert shown(np.array([[1, 2], [1, 3]]), learnt, 2)["category_diversity@2"] == 0.5
    assert "category_diversity@2" not in shown(np.array([[1, 2]]), Learnt(learnt.counts, history.take(np.array([0]))), 2)
