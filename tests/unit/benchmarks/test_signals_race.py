"""The moments at which the race of signals asks, by hand."""

from __future__ import annotations

import numpy as np

from benchmarks.signals import questions
from footfall.arrays.windows import Targets
from footfall.core.sequences import Sequences

SEARCHED, VIEWED, BOUGHT = 0, 2, 4


def test_each_question_reads_up_to_its_moment_and_leaves_out_who_has_none() -> None:
    """The window begins at 10. User 0 searches at 12 and 14, buys at 16 and searches again at 18; user 1 buys at 20 without a search in it."""
    moments = np.array([5, 12, 13, 14, 15, 16, 18, 4, 20])
    types = np.array([BOUGHT, SEARCHED, VIEWED, SEARCHED, VIEWED, BOUGHT, SEARCHED, SEARCHED, BOUGHT], np.int8)
    sequences = Sequences(np.arange(1, 10, dtype=np.int32), types, moments, np.array([0, 7, 9]))
    targets = Targets(np.array([0, 1]), np.array([6, 9, 8], np.int32), np.array([0, 1, 3]))

    asked = questions(sequences, targets, 10)

    read = {name: [part.tolist() for part in np.split(one.history.occurred_at, one.history.offsets[1:-1])] for name, one in asked.items()}
    assert read == {
        "when the window begins": [[5], [4]],
        "right after a search": [[5, 12, 13, 14]],
        "right before the basket": [[5, 12, 13, 14, 15], [4]],
    }
    assert asked["right after a search"].targets.item_index.tolist() == [6]
    assert asked["right before the basket"].targets.item_index.tolist() == [6, 9, 8]
    assert asked["right before the basket"].targets.offsets.tolist() == [0, 1, 3]
