"""Pairs of a user and an own item, described; lessons of the past; and the network applied to them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES
from footfall.core.baselines import DAY_US
from footfall.core.habit_figures import BASKETS, DAYS, FIGURES, RECENCY_AND_FREQUENCY, ItemFacts, describe
from footfall.core.habit_lessons import choose_lessons, fit_traits, make_lessons, recent_purchases
from footfall.core.habits import Habits
from footfall.core.sequences import Sequences

BUY = EVENT_TYPES.index("purchase")
SINCE = len(DAYS) + len(BASKETS)
"""Where the rhythm begins: since, baskets since, since the first, interval, baskets between, since / interval, the same in baskets."""


def sequences(*users: list[tuple[int, float]]) -> Sequences:
    """Users as lists of (item_index, day)."""
    events = [event for user in users for event in user]
    return Sequences(
        np.array([item for item, _ in events], np.int32),
        np.full(len(events), BUY, np.int8),
        np.array([round(day * DAY_US) for _, day in events], np.int64),
        np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64),
    )


def facts(items: int, groups: list[list[int]] | None = None) -> ItemFacts:
    """Every item a group of its own, unless `groups` says otherwise."""
    of = np.array(groups, np.int32) if groups else np.repeat(np.arange(items, dtype=np.int32)[:, None], 2, axis=1)
    return ItemFacts(np.arange(items * 4, dtype=np.float32).reshape(items, 4), np.ones((items, 3), np.float32), of)


def some_habits(items: int) -> Habits:
    """Random layers of the right shapes."""
    random = np.random.default_rng(0)
    shapes = [(6, FIGURES), (6, 6), (1, 6)]
    layers = [(random.normal(size=s).astype(np.float32), random.normal(size=s[0]).astype(np.float32)) for s in shapes]
    return Habits(facts(items), np.zeros(FIGURES, np.float32), np.full(FIGURES, 0.1, np.float32), layers)


def random_users(count: int, items: int, seed: int) -> list[list[tuple[int, float]]]:
    random = np.random.default_rng(seed)
    return [
        [(int(item), float(day)) for item, day in zip(random.integers(0, items + 1, 20), np.sort(random.integers(0, 200, 20)), strict=True)]
        for _ in range(count)
    ]


def test_an_item_is_described_by_how_often_how_lately_and_in_what_rhythm() -> None:
    pairs = describe(sequences([(1, 0), (1, 10), (2, 10), (1, 30)]), facts(2))
    assert [pairs.owners.tolist(), pairs.columns.tolist(), pairs.figures.shape] == [[0, 0], [0, 1], (2, FIGURES)]
    thrice, once = pairs.figures
    assert thrice[0] == pytest.approx(math.log(0.01 + 1 + 2 ** (-20 / 3) + 2 ** (-30 / 3)))
    assert thrice[len(DAYS)] == pytest.approx(math.log(0.01 + 1 + 0.5 + 0.25))
    assert np.expm1(thrice[SINCE : SINCE + 7]) == pytest.approx([0, 0, 30, 15, 1, 0, 0], abs=1e-5)
    assert np.expm1(once[SINCE : SINCE + 3]) == pytest.approx([20, 1, 20], rel=1e-5)
    assert once[SINCE + 3 : SINCE + 7].tolist() == [-1, -1, -1, -1]
    assert np.expm1(thrice[SINCE + 7]) == pytest.approx(3, rel=1e-5)
    assert np.exp(thrice[SINCE + 8 : SINCE + 10]) == pytest.approx([1.005, 1.005], rel=1e-5)  # in all baskets
    assert np.exp(once[SINCE + 8 : SINCE + 10]) == pytest.approx([1 / 3 + 0.005, 1 / 2 + 0.005], rel=1e-5)
    assert np.expm1(thrice[SINCE + 10 : SINCE + 12]) == pytest.approx([20, 5], rel=1e-5)  # the last interval; deviation of 10 and 20


def test_a_user_is_described_beside_the_item_and_the_item_at_the_end() -> None:
    figures = describe(sequences([(1, 0), (1, 10), (2, 10), (1, 30)]), facts(2)).figures
    assert np.expm1(figures[:, RECENCY_AND_FREQUENCY - 4 : RECENCY_AND_FREQUENCY]) == pytest.approx(np.array([[3, 4 / 3, 30, 15]] * 2), rel=1e-5)
    assert figures[:, -7:].tolist() == [[0, 1, 2, 3, 1, 1, 1], [4, 5, 6, 7, 1, 1, 1]]


def test_items_of_one_group_share_its_rhythm() -> None:
    together, apart = (describe(sequences([(1, 0), (2, 10), (1, 20)]), facts(2, groups)).figures for groups in ([[0, 0], [0, 1]], [[0, 0], [1, 1]]))
    group = slice(RECENCY_AND_FREQUENCY, RECENCY_AND_FREQUENCY + 11)
    assert together[0, group].tolist() == together[1, group].tolist()  # all but the item's own share of it
    assert np.expm1(together[1, RECENCY_AND_FREQUENCY + 3 : RECENCY_AND_FREQUENCY + 7]) == pytest.approx([0, 0, 20, 10], abs=1e-5)
    assert np.expm1(together[1, RECENCY_AND_FREQUENCY + 10]) == pytest.approx(2)
    assert apart[1, RECENCY_AND_FREQUENCY + 6] == -1
    assert together[1, RECENCY_AND_FREQUENCY + 11] < apart[1, RECENCY_AND_FREQUENCY + 11] == pytest.approx(0, abs=1e-6)


def test_what_stands_twice_in_a_basket_and_what_is_unknown_or_looked_at_changes_nothing() -> None:
    plain = sequences([(1, 0), (2, 5)])
    noisy = sequences([(1, 0), (1, 0), (0, 3), (2, 4), (2, 5)])
    noisy = dataclasses.replace(noisy, event_type=np.array([BUY, BUY, BUY, EVENT_TYPES.index("view"), BUY], np.int8))
    assert np.array_equal(describe(noisy, facts(2)).figures, describe(plain, facts(2)).figures)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), min_size=1, max_size=30), st.integers(-200, 4000))
def test_asking_later_changes_nothing_and_every_figure_is_a_number(events: list[tuple[int, int]], shift: int) -> None:
    ordered = sorted(events, key=lambda event: event[1])
    before = describe(sequences([(i, float(d)) for i, d in ordered]), facts(5))
    after = describe(sequences([(i, float(d + shift)) for i, d in ordered]), facts(5))
    assert np.array_equal(before.figures, after.figures)
    assert np.isfinite(before.figures).all()
    assert before.columns.tolist() == sorted({item - 1 for item, _ in ordered if item})


def test_a_user_scores_the_same_alone_as_in_a_batch() -> None:
    users, habits = random_users(6, 8, 3), some_habits(8)
    together = habits.scores(sequences(*users))
    for position, user in enumerate(users):
        assert habits.scores(sequences(user))[0] == pytest.approx(together[position], rel=1e-4)


def test_the_likeliest_own_item_has_one_and_what_was_never_bought_nothing() -> None:
    scores = some_habits(8).scores(sequences([(1, 0), (3, 1), (1, 2)], []))
    assert scores[0].max() == 1
    assert np.flatnonzero(scores[0]).tolist() == [0, 2]
    assert not scores[1].any()


def test_habits_come_back_from_their_arrays() -> None:
    habits, history = some_habits(8), sequences(*random_users(3, 8, 4))
    again = Habits.of(habits.arrays(), 8)
    assert np.array_equal(again.scores(history), habits.scores(history))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"mean": None}, "mean is None"),
        ({"surplus": np.zeros(1)}, "surplus is .* expected None"),
        ({"traits": np.zeros((9, 4), np.float32)}, "traits is"),
        ({"traits": np.zeros((8, 4))}, "float64"),
        ({"groups": np.full((8, 2), 8, np.int32)}, "groups are 8 to 8"),
        ({"layer1.matrix": np.zeros((6, 5), np.float32)}, "layer1.matrix"),
        ({"layer0.offset": None}, "layer0"),
        ({"layer2.offset": np.zeros(2, np.float32)}, "layer2.offset"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(wrong: dict[str, Any], says: str) -> None:
    arrays = {name: array for name, array in (some_habits(8).arrays() | wrong).items() if array is not None}
    with pytest.raises(ValueError, match=says):
        Habits.of(arrays, 8)


def test_traits_say_how_an_item_is_bought_again_and_lean_on_the_mean_of_all() -> None:
    history = sequences([(1, 0), (1, 9), (2, 9), (1, 18)], [(2, 0), (1, 1)])
    traits = fit_traits(history, 3)
    rate, loyal, gap = 2 / 4, 1 / 4, math.log(10)  # 2 repeats in 2 + 0 + 1 + 1 chances; 1 of 4 buyers came again
    assert np.exp(traits[:, 0]) - 1e-4 == pytest.approx([(2 + 20 * rate) / 22, (0 + 20 * rate) / 22, rate], rel=1e-5)
    assert traits[:, 1] == pytest.approx([(1 + 5 * loyal) / 7, 5 * loyal / 7, loyal])
    assert traits[:, 2] == pytest.approx([gap] * 3)
    assert np.expm1(traits[:, 3]) == pytest.approx([2, 2, 0])
    assert np.isfinite(fit_traits(sequences([]), 2)).all()


def test_recent_purchases_are_counted_up_to_the_moment() -> None:
    history = sequences([(1, 9.9), (1, 72.1), (2, 99)], [(1, 93), (3, 100)])
    assert np.expm1(recent_purchases(history, 3, 100 * DAY_US)) == pytest.approx(np.array([[1, 2, 2], [1, 1, 1], [0, 0, 0]]))


def test_lessons_are_each_users_newest_baskets_but_never_the_first() -> None:
    history = sequences([(1, 0), (1, 1), (2, 1), (1, 2), (1, 3)], [(1, 5)], [(1, 6), (1, 7)])
    users, moments = choose_lessons(history, 2, 100, 0)
    assert [users.tolist(), (moments // DAY_US).tolist()] == [[0, 0, 2], [2, 3, 7]]
    drawn = [choose_lessons(history, 9, 2, 5) for _ in range(2)]
    assert [len(drawn[0][0]), np.array_equal(drawn[0], drawn[1])] == [2, True]


def test_a_lesson_knows_the_past_and_is_asked_for_the_basket() -> None:
    history = sequences([(1, 0), (2, 0), (1, 7), (3, 7), (2, 14)], [(1, 0), (2, 7)])
    users, moments = choose_lessons(history, 9, 100, 0)
    lessons = make_lessons(history, users, moments, facts(3), 1000)
    # user 0 on day 7: 1 again, not 2; on day 14: 2 again, not 1 and 3. User 1 bought nothing again: no lesson.
    found = [[(int(c), bool(h)) for o, c, h in zip(lessons.pairs.owners, lessons.pairs.columns, lessons.hit, strict=True) if o == n] for n in (0, 1)]
    assert sorted(found) == [[(0, False), (1, True), (2, False)], [(0, True), (1, False)]]
    assert len(lessons) == 2


def test_no_lesson_reads_its_own_basket_or_what_came_later() -> None:
    def lessons_with(asked: int, later: int) -> Any:
        history = sequences(*([(1, 0), (2, 10), (3, 10), (asked, 20), (later, 30)] for _ in range(3)))
        return make_lessons(history, np.arange(3), np.full(3, 20 * DAY_US), facts(3), 1000)

    plain, after, itself = lessons_with(1, 1), lessons_with(1, 2), lessons_with(2, 1)
    assert np.array_equal(plain.pairs.figures, after.pairs.figures)
    assert np.array_equal(plain.hit, after.hit)
    assert np.array_equal(plain.pairs.figures, itself.pairs.figures)
    assert [plain.hit[:3].tolist(), itself.hit[:3].tolist()] == [[True, False, False], [False, True, False]]
    assert np.expm1(plain.pairs.figures[:3, -2]) == pytest.approx([3, 3, 3])  # a week before day 20 everybody had bought each once
