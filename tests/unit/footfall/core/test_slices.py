from __future__ import annotations

import numpy as np

from footfall.core.sequences import Sequences
from footfall.core.slices import only_targets, slice_users, tail_items, target_slices


def test_users_fall_into_slices_by_history_and_by_what_they_bought_next() -> None:
    history = Sequences(np.array([1, 2, 0, 3], np.int32), np.full(4, 4, np.int8), np.arange(4, dtype=np.int64), np.array([0, 3, 4, 4], np.int64))
    offsets, targets = np.array([0, 2, 3, 4], np.int64), np.array([1, 5, 1, 0], np.int32)
    found = slice_users(history, offsets, targets, cold_events=2, short_events=1, long_events=3)
    assert {name: users.tolist() for name, users in found.items()} == {
        "cold_user": [False, True, True],
        "short_history": [False, True, True],
        "long_history": [True, False, False],
        "repeat_basket": [True, False, False],  # one of two is half; another user's purchase of item 1 does not count
        "explore_basket": [False, True, True],  # index 0 is new, although the history holds an index 0 too
    }


def test_the_tail_is_what_the_most_frequent_items_leave() -> None:
    counts = np.array([1, 50, 0, 30, 19], np.int64)  # 80 of 100 events: items 2 and 4
    assert tail_items(counts, 0.2).tolist() == [True, False, True, False, True]
    assert tail_items(counts, 0.0).tolist() == [False, False, True, False, False]
    assert tail_items(np.zeros(2, np.int64), 0.2).all()
    assert tail_items(np.array([5, 5, 5], np.int64), 0.5).tolist() == [False, False, True]


def test_targets_are_of_the_head_or_the_tail_and_cold_ones_are_tail() -> None:
    counts = np.array([1, 50, 0, 30, 19], np.int64)
    found = target_slices(np.array([0, 1, 2, 3, 5], np.int32), counts, cold_events=5, tail_share=0.2)
    assert {name: targets.tolist() for name, targets in found.items()} == {
        "head_item": [False, False, True, False, False],
        "tail_item": [True, True, False, True, True],
        "cold_item": [True, True, False, True, False],
    }


def test_only_the_wanted_targets_stay_with_the_users_who_have_one() -> None:
    offsets, targets = np.array([0, 2, 3, 5], np.int64), np.array([4, 5, 6, 7, 8], np.int32)
    users, left, items = only_targets(offsets, targets, np.array([True, False, False, True, True]))
    assert (users.tolist(), left.tolist(), items.tolist()) == ([0, 2], [0, 1, 3], [4, 7, 8])
    nobody = only_targets(offsets, targets, np.zeros(5, bool))
    assert [part.tolist() for part in nobody] == [[], [0], []]
