"""Ranks of one target a user, and the figures that follow from them; the figures of RecTools and RecBole for the same ranks stand here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from footfall.core.metrics import CUTOFFS, UNRANKED, at_cutoffs, mean_figures, ranks, slates_at_cutoffs, top_k, user_metrics
from footfall.core.sequences import Sequences

# One target a user, at these ranks. RecTools 0.19.0: user u is shown the items 1 to 25 in that order and has the one target RANKS[u] + 1;
# `calc_metrics` with Recall, NDCG(divide_by_achievable=True), MRR and HitRate. RecBole 1.2.1: the same as rows of "rec.topk", to 15 decimals.
RANKS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 17, 18, 19, 20, 21, 24, 0, 0, 3]
RECTOOLS = {
    "recall@5": 0.36363636363636365,
    "ndcg@5": 0.2445061671342175,
    "mrr@5": 0.20606060606060606,
    "hit_rate@5": 0.36363636363636365,
    "recall@10": 0.5909090909090909,
    "ndcg@10": 0.31701072255280627,
    "mrr@10": 0.2354076479076479,
    "hit_rate@10": 0.5909090909090909,
    "recall@20": 0.8636363636363636,
    "ndcg@20": 0.38490338052107,
    "mrr@20": 0.25354838542637587,
    "hit_rate@20": 0.8636363636363636,
}
RECBOLE = {
    "recall@5": 0.363636363636364,
    "ndcg@5": 0.244506167134218,
    "mrr@5": 0.206060606060606,
    "hit_rate@5": 0.363636363636364,
    "recall@10": 0.590909090909091,
    "ndcg@10": 0.317010722552806,
    "mrr@10": 0.235407647907648,
    "hit_rate@10": 0.590909090909091,
    "recall@20": 0.863636363636364,
    "ndcg@20": 0.38490338052107,
    "mrr@20": 0.253548385426376,
    "hit_rate@20": 0.863636363636364,
}
# Several targets a user. RecTools 0.19.0 for these slates and targets; its Recall divides by all targets, ours by as many as can be hit: left out.
SLATES = np.array([[3, 1, 2, 7, 8, 9], [4, 5, 6, 1, 2, 3], [9, 8, 7, 6, 5, 4], [1, 2, 3, 4, 5, 6]])
TARGETS = [[1, 2], [9, 6, 11, 12], [8], [1, 2, 3, 4, 5, 6, 7]]
RECTOOLS_OF_SLATES = {
    "ndcg@2": 0.5044456402014998,
    "mrr@2": 0.5,
    "hit_rate@2": 0.75,
    "ndcg@3": 0.6397488800500266,
    "mrr@3": 0.5833333333333333,
    "hit_rate@3": 1.0,
    "ndcg@6": 0.6298865455461948,
    "mrr@6": 0.5833333333333333,
    "hit_rate@6": 1.0,
}
VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5000001, 3.0])


def histories(*users: list[int]) -> Sequences:
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    items = np.array([item for user in users for item in user], np.int32)
    return Sequences(items, np.zeros(len(items), np.int8), np.arange(len(items)), offsets)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Sequences]:
    """Scores, a target a user (0: none) and what each has seen, repeats and unknown items included."""
    users, items = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    item = st.integers(0, items)
    scores = draw(hnp.arrays(np.float64, (users, items), elements=VALUES))
    seen = draw(st.lists(st.lists(item, max_size=6), min_size=users, max_size=users))
    return scores, draw(hnp.arrays(np.int32, users, elements=item)), histories(*seen)


def place(row: np.ndarray, target: int, seen: set[int]) -> int:
    """Where a target stands in a stable sort of what is left when the seen items are gone."""
    if target == 0 or target in seen:
        return UNRANKED
    left = [item for item in range(1, len(row) + 1) if item not in seen]
    return sorted(left, key=lambda item: -row[item - 1]).index(target)


def test_ranks_by_hand() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.9], [0.1, 0.9, 0.5, 0.9], [2.0, 2.0, 2.0, 2.0]])

    assert ranks(scores, np.array([3, 4, 3])).tolist() == [2, 1, 2]
    assert ranks(scores, np.array([3, 4, 3]), histories([2, 2, 0], [], [4, 1])).tolist() == [1, 1, 1]


def test_a_target_that_cannot_be_shown_is_behind_every_cut_off() -> None:
    found = ranks(np.array([[0.3, 0.2], [0.3, 0.2]]), np.array([0, 1]), histories([2], [1]))

    assert found.tolist() == [UNRANKED, UNRANKED]
    assert set(mean_figures(at_cutoffs(found)).values()) == {0.0}


def test_masked_columns_stand_before_nothing_even_where_all_is_minus_infinity() -> None:
    assert ranks(np.full((1, 3), -np.inf), np.array([3]), histories([1])).tolist() == [1]


def test_scores_are_left_as_they_are() -> None:
    scores = np.array([[0.3, 0.2, 0.1]])
    ranks(scores, np.array([3]), histories([1, 2]))
    assert scores.tolist() == [[0.3, 0.2, 0.1]]


@pytest.mark.parametrize(
    ("scores", "targets", "seen", "said"),
    [
        ([[0.1, float("nan")]], [1], [[]], "NaN"),
        ([[0.1, 0.2]], [1, 2], [[]], "targets of 2"),
        ([[0.1, 0.2]], [1], [[], []], "histories of 2"),
        ([[0.1, 0.2]], [3], [[]], "beyond the 2 columns"),
        ([[0.1, 0.2]], [1], [[3]], "beyond the 2 columns"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores: Any, targets: Any, seen: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ranks(np.array(scores), np.array(targets), histories(*seen))


@given(rankings())
def test_a_rank_is_the_position_in_a_stable_sort_of_what_is_not_masked(given_: tuple[np.ndarray, np.ndarray, Sequences]) -> None:
    scores, targets, seen = given_
    found = ranks(scores, targets, seen)
    expected = [
        place(row, target, set(seen.item_index[first:last].tolist()))
        for row, target, first, last in zip(scores, targets.tolist(), seen.offsets[:-1], seen.offsets[1:], strict=True)
    ]
    assert found.tolist() == expected


@given(rankings())
def test_a_rank_is_the_position_in_top_k(given_: tuple[np.ndarray, np.ndarray, Sequences]) -> None:
    scores, targets, _ = given_
    order, found = top_k(scores, scores.shape[1]), ranks(scores, targets)
    for user in np.flatnonzero(targets):
        assert order[user, found[user]] + 1 == targets[user]


@given(rankings(), st.randoms(use_true_random=False))
def test_ranks_follow_users_and_items_that_change_places(given_: tuple[np.ndarray, np.ndarray, Sequences], random: Any) -> None:
    scores, targets, seen = given_
    scores = scores + np.arange(scores.size).reshape(scores.shape) / 1e9  # no ties: their order is by column
    scores[~np.isfinite(scores)] = -np.arange(np.count_nonzero(~np.isfinite(scores))) - 10.0
    users, items = np.arange(len(scores)), np.arange(scores.shape[1])
    random.shuffle(users)
    random.shuffle(items)
    renamed = np.concatenate([[0], np.argsort(items) + 1]).astype(np.int32)
    moved = seen.take(users)
    turned = Sequences(renamed[moved.item_index], moved.event_type, moved.occurred_at, moved.offsets)

    assert np.array_equal(ranks(scores[users][:, items], renamed[targets[users]], turned), ranks(scores, targets, seen)[users])


def test_figures_at_cut_offs_by_hand() -> None:
    first, second = at_cutoffs(np.array([0, 2, 7]), (1, 5))

    assert [first.k, first.hit.tolist(), first.ndcg.tolist()] == [1, [1, 0, 0], [1, 0, 0]]
    assert second.recall.tolist() == second.hit.tolist() == [1, 1, 0]
    assert second.ndcg.tolist() == pytest.approx([1, 1 / math.log2(4), 0])
    assert second.reciprocal_rank.tolist() == pytest.approx([1, 1 / 3, 0])


@pytest.mark.parametrize("theirs", [RECTOOLS, RECBOLE], ids=["RecTools", "RecBole"])
def test_one_target_a_user_gives_the_figures_of_rectools_and_of_recbole(theirs: dict[str, float]) -> None:
    assert mean_figures(at_cutoffs(np.array(RANKS))) == pytest.approx(theirs, abs=1e-9, rel=0)


def test_several_targets_a_user_give_the_figures_of_rectools() -> None:
    offsets = np.cumsum([0, *map(len, TARGETS)])
    found = mean_figures(slates_at_cutoffs(SLATES, offsets, np.concatenate(TARGETS), (2, 3, 6)))

    assert {name: found[name] for name in RECTOOLS_OF_SLATES} == pytest.approx(RECTOOLS_OF_SLATES, abs=1e-9, rel=0)


def test_slates_shorter_than_the_last_cut_off_are_refused() -> None:
    with pytest.raises(ValueError, match="6 positions, 20 are asked for"):
        slates_at_cutoffs(SLATES, np.arange(5), np.ones(4, np.int32))


@given(rankings())
def test_ranks_and_slates_give_the_same_figures(given_: tuple[np.ndarray, np.ndarray, Sequences]) -> None:
    scores, targets, _ = given_
    slates = top_k(scores, scores.shape[1]) + 1
    offsets = np.arange(len(targets) + 1)
    for by_rank in at_cutoffs(ranks(scores, targets), (1, 3, 20)):
        by_slate = user_metrics(slates, offsets, targets, by_rank.k)
        for name, values in by_rank.named().items():
            assert values == pytest.approx(by_slate.named()[name])


@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 40) | st.just(UNRANKED)))
def test_figures_are_bounded_grow_with_the_cut_off_and_do_not_depend_on_the_order_of_users(found: np.ndarray) -> None:
    figures = mean_figures(at_cutoffs(found))

    assert figures == pytest.approx(mean_figures(at_cutoffs(found[::-1])))
    for name in ("recall", "ndcg", "mrr", "hit_rate"):
        grown = [figures[f"{name}@{k}"] for k in CUTOFFS]
        assert 0 <= grown[0] <= grown[1] <= grown[2] <= 1
    assert all(figures[f"mrr@{k}"] <= figures[f"ndcg@{k}"] + 1e-12 <= figures[f"recall@{k}"] + 2e-12 for k in CUTOFFS)
