"""What the quality races print, from ranks known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.figures import Learnt, by_user, difference, means, members, shown
from benchmarks.leave_one_out import Fold, place
from benchmarks.policies import POPULARITY, closed_forms, item_counts
from benchmarks.protocols import MASKED, UNMASKED, gather, report
from footfall.core.sequences import Sequences
from footfall.model.trainer import TARGET_TYPE

DAY_US = 86_400_000_000


def histories(*users: list[int]) -> Sequences:
    lengths = np.array([len(items) for items in users])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    moments = np.concatenate([np.arange(length) for length in lengths]) * DAY_US
    return Sequences(np.concatenate(users).astype(np.int32), np.full(offsets[-1], TARGET_TYPE, np.int8), moments, offsets)


def test_figures_of_several_seeds_are_each_users_mean() -> None:
    figures = by_user([np.array([0, 30]), np.array([2, 30])])
    assert figures["ndcg@10"].tolist() == [0.75, 0.0]
    assert means(figures)["hit_rate@5"] == 0.5
    assert means(figures, np.array([True, False]))["mrr@10"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-6)


def test_a_difference_is_paired() -> None:
    policies = {"a": by_user([np.array([0, 4, 0])]), "b": by_user([np.array([0, 4, 0])])}
    assert difference(policies, "a", "b")["interval"] == [0, 0]


def test_a_masked_slate_shows_nothing_of_the_history_and_no_more_than_is_left() -> None:
    fold = Fold(histories([1, 2]), np.array([3], np.int32))
    rows = np.array([[4.0, 3.0, 2.0, 1.0]], np.float32)
    for masked, slate in ((True, [3, 4, 0, 0]), (False, [1, 2, 3, 4])):
        placed = place(fold, {"a": lambda _: rows}, {"a": {"a": 1.0}}, masked=masked, slates=4)["a"]
        assert placed.slates.tolist() == [slate]
        assert placed.ranks.tolist() == [slate.index(3)]
    assert (rows == [[4, 3, 2, 1]]).all()  # scores are left as they were


def test_slices_part_users_by_history_and_target() -> None:
    fold = Fold(histories([1], [1, 2], [1, 2, 1, 2, 1, 2]), np.array([1, 3, 4], np.int32))
    found = members(Learnt(np.array([60, 30, 6, 4]), fold))
    assert {name: users.tolist() for name, users in found.items()} == {
        "cold_user": [True, True, False],
        "short_history": [True, False, False],
        "long_history": [False, False, True],
        "repeat": [True, False, False],
        "explore": [False, True, True],
        "head_item": [True, False, False],
        "tail_item": [False, True, True],
        "cold_item": [False, False, True],
    }


def test_personal_frequency_puts_habits_before_what_is_popular() -> None:
    history = histories([1, 1, 2], [3, 3, 3])
    parts = closed_forms(history, 4)
    order = np.argsort(-np.asarray(parts["personal_frequency"](history)), axis=1, kind="stable") + 1
    assert order.tolist() == [[1, 2, 3, 4], [3, 1, 2, 4]]
    assert parts[POPULARITY](history).tolist() == [[2, 1, 3, 0]] * 2


def test_every_policy_is_reported_masked_and_unmasked_but_personal_frequency() -> None:
    history = histories([1, 2, 3], [2, 3, 4], [3, 4, 5], [1, 5, 2])
    fold, counts = Fold(history, np.array([4, 5, 1, 3], np.int32)), item_counts(history, 5)
    closed = closed_forms(history, 5)
    mixes = {name: {name: 1.0} for name in (*closed, "model")} | {"fused": {"model": 1.0, "ease": 3.0}}
    asked = []

    def model(seed: int):  # type: ignore[no-untyped-def]
        asked.append(seed)
        return lambda users: np.random.default_rng(seed).random((len(users), 5))

    gathered = gather(fold, ({**closed, "model": model(seed)} for seed in range(2)), mixes, "model")
    assert asked == [0, 1]
    assert [len(gathered[MASKED].ranks[name]) for name in ("ease", "model", "fused")] == [1, 2, 2]
    document = report(gathered, Learnt(counts, fold), "model", "fused")
    assert set(document["mean"][UNMASKED]) - set(document["mean"][MASKED]) == {"personal_frequency"}
    assert document["seeds"][1][MASKED]["ease"] == document["seeds"][0][MASKED]["ease"]
    mean = np.mean([seed[MASKED]["fused"]["ndcg@10"] for seed in document["seeds"]])
    assert document["mean"][MASKED]["fused"]["ndcg@10"] == pytest.approx(mean, abs=1e-6)
    assert document["slices"][UNMASKED]["repeat"] == {"users": 0}
    assert document["deviation"][MASKED]["ease"]["ndcg@10"] == 0


def test_what_is_shown_is_measured_against_what_was_learnt() -> None:
    learnt = Learnt(np.array([2, 1, 1]), Fold(histories([1], [2]), np.array([2, 1], np.int32)))
    found = shown({"popular": np.array([[1], [1]])}, learnt)["popular"]
    assert found["coverage@10"] == pytest.approx(1 / 3, abs=1e-6)
    assert (found["novelty@10"], found["average_popularity@10"]) == (1.0, 0.5)
    assert found["popularity_lift@10"] == pytest.approx(0.5 / 0.375 - 1, abs=1e-6)
    assert found["exposure_gini@10"] == pytest.approx(2 / 3, abs=1e-6)
