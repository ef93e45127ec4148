from __future__ import annotations

import numpy as np

from footfall.core.sequences import Sequences
from footfall.core.slices import slice_users


def test_users_fall_into_slices_by_history_and_by_what_they_bought_next() -> None:
    history = Sequences(np.array([1, 2, 0, 3], np.int32), np.full(4, 4, np.int8), np.arange(4, dtype=np.int64), np.array([0, 3, 4, 4], np.int64))
    offsets, targets = np.array([0, 2, 3, 4], np.int64), np.array([1, 5, 1, 0], np.int32)
    found = slice_users(history, offsets, targets, cold_events=2, long_events=3)
    assert {name: users.tolist() for name, users in found.items()} == {
        "cold_user": [False, True, True],
        "long_history": [True, False, False],
        "repeat_basket": [True, False, False],  # one of two is half; another user's purchase of item 1 does not count
        "explore_basket": [False, True, True],  # index 0 is new, although the history holds an index 0 too
    }
