"""Groups of users and of targets that are looked at on their own, because an average can hide them."""

from __future__ import annotations

import numpy as np

from footfall.core.metrics import Bools
from footfall.core.sequences import Int32, Int64, Sequences


def slice_users(history: Sequences, offsets: Int64, targets: Int32, *, cold_events: int, short_events: int, long_events: int) -> dict[str, Bools]:
    """Name -> (U,) which users belong.

    cold_user, short_history and long_history go by the number of events before the window; repeat_basket and explore_basket by whether at least half
    of a user's targets had been in the history (an item outside the vocabulary counts as new).

    Args:
        history: U users' events before the window.
        offsets, targets: flat targets of the same users.
        cold_events: a cold user has fewer events than this.
        short_events: a short history has at most this many.
        long_events: a long history has at least this many.
    """
    width = int(max(history.item_index.max(initial=0), targets.max(initial=0))) + 1
    owners = np.repeat(np.arange(len(history)), np.diff(offsets))
    known = np.isin(owners * width + targets, history.owners * width + history.item_index) & (targets > 0)
    repeated = np.bincount(owners, weights=known, minlength=len(history)) * 2 >= np.diff(offsets)
    lengths = history.lengths
    by_length = {"cold_user": lengths < cold_events, "short_history": lengths <= short_events, "long_history": lengths >= long_events}
    return by_length | {"repeat_basket": repeated, "explore_basket": ~repeated}


def tail_items(counts: Int64, share: float) -> Bools:
    """(V,) which items are the long tail: all but the most frequent ones that together hold at least 1 - `share` of the events.

    Equally frequent items are taken in the order of their index. An item without events is tail.

    Args:
        counts: (V,) events of item_index 1, 2, ... in the data that was learnt from.
        share: of the events, held by the tail; 0 to 1.
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    tail = np.ones(len(counts), dtype=np.bool_)
    tail[order[(before < (1 - share) * counts.sum()) & (counts[order] > 0)]] = False
    return tail


def target_slices(targets: Int32 | Int64, counts: Int64, *, cold_events: int, tail_share: float) -> dict[str, Bools]:
    """Name -> (T,) which targets belong: head_item and tail_item part all targets, cold_item are those of the tail that hardly anybody touched.

    A target outside the vocabulary (0) is cold, and of the tail.

    Args:
        targets: (T,) item_index.
        counts: (V,) events of item_index 1, 2, ... in the data that was learnt from.
        cold_events: a cold item has fewer events than this.
        tail_share: of the events, held by the tail.
    """
    tail: Bools = np.concatenate([[True], tail_items(counts, tail_share)])[targets]
    cold: Bools = np.concatenate([[0], counts])[targets] < cold_events
    return {"head_item": ~tail, "tail_item": tail, "cold_item": tail & cold}


def only_targets(offsets: Int64, targets: Int32, wanted: Bools) -> tuple[Int64, Int64, Int32]:
    """The users who have a wanted target, and these targets alone: (positions, offsets, targets).

    Args:
        offsets, targets: flat targets of U users.
        wanted: (T,) which of them count.
    """
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[wanted]
    users, sizes = np.unique(owners, return_counts=True)
    return users, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), targets[wanted]
