from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.metrics import at_cutoffs, mean_figures, ranks
from footfall.core.sequences import Sequences
from footfall.core.vector_ranks import ranks_by_vectors


def shop(users: int, items: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Sequences]:
    """Vectors of small integers, so that many scores are equal; targets and histories, some of no item."""
    random = np.random.default_rng(seed)
    ours, theirs = (random.integers(-2, 3, (count, 4)).astype(np.float32) for count in (users, items))
    history = random.integers(0, items + 1, 3 * users).astype(np.int32)
    seen = Sequences(history, np.zeros(3 * users, np.int8), np.zeros(3 * users, np.int64), np.arange(users + 1) * 3)
    return ours, theirs, random.integers(0, items + 1, users).astype(np.int32), seen


def test_they_are_the_ranks_of_the_products_over_several_chunks() -> None:
    users, items, targets, seen = shop(1_200, 40, 3)

    assert np.array_equal(ranks_by_vectors(users, items, targets, seen), ranks(users @ items.T, targets, seen))
    assert np.array_equal(ranks_by_vectors(users, items, targets), ranks(users @ items.T, targets))


@given(st.integers(0, 1_000), st.integers(1, 400), st.integers(1, 20), st.booleans())
def test_up_to_a_cut_off_ranks_are_exact_and_beyond_it_they_stay_beyond(seed: int, items: int, within: int, masked: bool) -> None:
    ours, theirs, targets, history = shop(20, items, seed)
    seen = history if masked else None
    exact, found = ranks(ours @ theirs.T, targets, seen), ranks_by_vectors(ours, theirs, targets, seen, within=within)
    inside = exact < within

    assert np.array_equal(found[inside], exact[inside])
    assert np.all((found[~inside] >= within) & (found[~inside] <= exact[~inside]))
    assert mean_figures(at_cutoffs(found, (1, within))) == mean_figures(at_cutoffs(exact, (1, within)))


def test_most_targets_far_behind_are_not_ranked_among_all_items() -> None:
    users, items, targets, seen = shop(200, 400, 1)
    exact, found = ranks_by_vectors(users, items, targets, seen), ranks_by_vectors(users, items, targets, seen, within=5)

    assert np.count_nonzero(found < exact) > 100


def test_vectors_that_are_no_numbers_are_refused() -> None:
    users, items, targets, _ = shop(3, 40, 1)
    for vectors in (users, items):
        kept = vectors[1, 2].copy()
        vectors[1, 2] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            ranks_by_vectors(users, items, targets, within=1)
        vectors[1, 2] = kept
