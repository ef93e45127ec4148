"""Groups of users that are looked at on their own, because an average can hide them."""

from __future__ import annotations

import numpy as np

from footfall.core.metrics import Bools
from footfall.core.sequences import Int32, Int64, Sequences


def slice_users(history: Sequences, offsets: Int64, targets: Int32, *, cold_events: int, long_events: int) -> dict[str, Bools]:
    """Name -> (U,) which users belong.

    cold_user and long_history go by the number of events before the window; repeat_basket and explore_basket by whether at least half
    of a user's targets had been in the history (an item outside the vocabulary counts as new).

    Args:
        history: U users' events before the window.
        offsets, targets: flat targets of the same users.
        cold_events: a cold user has fewer events than this.
        long_events: a long history has at least this many.
    """
    width = int(max(history.item_index.max(initial=0), targets.max(initial=0))) + 1
    owners = np.repeat(np.arange(len(history)), np.diff(offsets))
    known = np.isin(owners * width + targets, history.owners * width + history.item_index) & (targets > 0)
    repeated = np.bincount(owners, weights=known, minlength=len(history)) * 2 >= np.diff(offsets)
    lengths = history.lengths
    return {"cold_user": lengths < cold_events, "long_history": lengths >= long_events, "repeat_basket": repeated, "explore_basket": ~repeated}
