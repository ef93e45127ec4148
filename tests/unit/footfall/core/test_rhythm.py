from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.core.rhythm import FIGURES, Moments, Track
from footfall.core.sequences import DAY_US, Sequences
from tests.unit.footfall.model.shop_of_habits import build, habits

SEARCH, VIEW, BUY = 0, 2, 4
ALL = 10_000


def figures(sequences: Sequences, user: int, day: float) -> dict[str, float]:
    found = Moments(sequences).figures(np.array([user]), np.array([round(day * DAY_US)]), ALL)
    return dict(zip(FIGURES, found[0].tolist(), strict=True))


def test_figures_by_hand() -> None:
    shop = build([(9, BUY, 50)], [(1, BUY, 0), (2, BUY, 0), (3, BUY, 10), (3, BUY, 16), (0, SEARCH, 20), (3, VIEW, 20), (4, VIEW, 20)])
    found = figures(shop, 1, 22)
    assert found["since_last_moment"] == pytest.approx(math.log1p(2))
    assert [found[f"moments_{days}d"] for days in (1, 7, 28)] == pytest.approx([0, math.log1p(2), math.log1p(4)])
    assert found["since_first_moment"] == pytest.approx(math.log1p(22))
    assert found["ever_bought"] == 1
    assert found["since_last_purchase"] == pytest.approx(math.log1p(6))
    assert [found[f"purchases_{days}d"] for days in (7, 28, 90)] == pytest.approx([math.log1p(n) for n in (1, 3, 3)])
    assert found["purchases"] == pytest.approx(math.log1p(3))
    assert found["gap_between_purchases"] == pytest.approx(math.log1p(8))
    assert found["since_last_purchase_in_gaps"] == pytest.approx(math.log(7 / 9))
    assert found["last_moment_search"] == pytest.approx(1 / 3)
    assert found["last_moment_view"] == pytest.approx(2 / 3)


def test_who_never_bought_has_waited_since_the_first_moment() -> None:
    found = figures(build([(1, VIEW, 3), (1, VIEW, 5)]), 0, 9)
    assert found["ever_bought"] == found["purchases"] == found["purchases_90d"] == 0
    assert found["since_last_purchase"] == found["gap_between_purchases"] == pytest.approx(math.log1p(6))


def test_what_comes_later_and_who_else_comes_say_nothing() -> None:
    shop = habits(users=6)
    users, at = np.arange(6), np.full(6, 30 * DAY_US)
    whole = Moments(shop).figures(users, at, ALL)
    np.testing.assert_array_equal(whole, Moments(shop.before(30 * DAY_US)).figures(users, at, ALL))
    for user in range(6):
        np.testing.assert_array_equal(whole[[user]], Moments(shop.take(np.array([user]))).figures(np.array([0]), at[:1], ALL))


def test_only_the_newest_events_are_read() -> None:
    shop, users, at = habits(users=6), np.arange(6), np.full(6, 80 * DAY_US)
    few = 10  # two baskets and the searches before them, of five events each
    limited = Moments(shop).figures(users, at, few)
    np.testing.assert_allclose(limited, Moments(shop.last(few)).figures(users, at, few), atol=1e-12)
    assert (limited[:, FIGURES.index("purchases")] < Moments(shop).figures(users, at, ALL)[:, FIGURES.index("purchases")]).any()


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=4), st.integers(0, 10))
def test_a_place_is_found_among_the_users_own_moments(days: list[list[int]], at: int) -> None:
    times = [sorted(own) for own in days]
    track = Track(np.array([time for own in times for time in own], np.int64), np.cumsum([0, *map(len, times)]))
    found = track.place(np.arange(len(times)), np.full(len(times), at))
    assert found.tolist() == [track.offsets[user] + sum(time < at for time in own) for user, own in enumerate(times)]


def test_a_moment_before_the_first_one_is_refused() -> None:
    with pytest.raises(ValueError, match="without a moment before"):
        figures(build([(1, BUY, 5)]), 0, 5)
