from __future__ import annotations

import numpy as np

from footfall.core.linear_baselines import Labels, fit_linear, slates_of
from footfall.core.sequences import Sequences


def histories(*users: list[int]) -> Sequences:
    lengths = [len(user) for user in users]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.array([item for user in users for item in user], np.int32)
    return Sequences(items, np.full(len(items), 4, np.int8), np.arange(len(items), dtype=np.int64), offsets)


SHOP = histories([1, 2], [1, 2], [3, 4], [3, 4], [5])
AFTER = np.array([0.0, 0, 0, 0, 9])
OPTIONS = {"regularisation": 1.0, "cells": 1000, "seed": 0, "k": 1}


def test_the_decay_is_chosen_on_validation() -> None:
    asked = histories([1, 1, 1, 3])  # much of 1 long ago, 3 just now
    for target, decay in ((4, 0.1), (2, 1.0)):
        labels = Labels(asked, np.array([0, 1]), np.array([target], np.int32))
        found = fit_linear(SHOP, 5, labels, AFTER, decays=[0.1, 1.0], **OPTIONS)  # type: ignore[arg-type]
        assert {name: one.decay for name, one in found.items()} == {"ease_recency": decay, "item_knn_recency": decay}
        assert slates_of(found["ease_recency"], asked, AFTER, 2)[0, 0] == target


def test_whoever_has_no_history_gets_what_is_popular() -> None:
    labels = Labels(histories([1]), np.array([0, 1]), np.array([2], np.int32))
    (found, _) = fit_linear(SHOP, 5, labels, AFTER, decays=[0.5], **OPTIONS).values()  # type: ignore[arg-type]
    assert slates_of(found, histories([], [1]), AFTER, 2).tolist() == [[5, 1], [2, 5]]


def test_a_shop_too_large_for_its_cells_has_none() -> None:
    labels = Labels(histories([1]), np.array([0, 1]), np.array([2], np.int32))
    assert fit_linear(SHOP, 5, labels, AFTER, decays=[0.5], **OPTIONS | {"cells": 9}) == {}  # type: ignore[arg-type]


def test_labels_of_some_users_keep_their_targets() -> None:
    few = Labels(histories([1], [2], [3]), np.array([0, 2, 3, 4]), np.array([5, 6, 7, 8], np.int32)).take(2)
    assert (len(few.history), few.offsets.tolist(), few.targets.tolist()) == (2, [0, 2, 3], [5, 6, 7])
    assert len(few.take(9).history) == 2
