from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import EVENT_TYPES
from footfall.core.context import CART_US, in_cart, with_views
from footfall.core.sequences import Sequences

VIEW, CART, PURCHASE = (EVENT_TYPES.index(name) for name in ("view", "cart", "purchase"))
NOW = 10 * CART_US


def history(*users: list[tuple[int, int, int]]) -> Sequences:
    """Of each user (item_index, event type, moment)."""
    events = np.array([event for user in users for event in user], np.int64).reshape(-1, 3)
    offsets = np.cumsum([0, *map(len, users)]).astype(np.int64)
    return Sequences(events[:, 0].astype(np.int32), events[:, 1].astype(np.int8), events[:, 2], offsets)


def carts(*users: list[tuple[int, int, int]], at: int | np.ndarray = NOW) -> list[list[int]]:
    return [items.tolist() for items in in_cart(history(*users), at)]


def test_what_was_put_into_the_cart_and_not_bought_lies_in_it() -> None:
    assert carts([(7, CART, NOW - 30), (3, CART, NOW - 20), (7, CART, NOW - 10), (9, VIEW, NOW - 5)], []) == [[3, 7], []]


def test_what_was_bought_since_lies_there_no_more_unless_it_was_put_there_again() -> None:
    assert carts([(3, CART, NOW - 30), (4, CART, NOW - 30), (3, PURCHASE, NOW - 20)]) == [[4]]
    assert carts([(3, CART, NOW - 20), (3, PURCHASE, NOW - 20)]) == [[]]
    assert carts([(3, PURCHASE, NOW - 30), (3, CART, NOW - 20)]) == [[3]]


def test_a_cart_is_forgotten_after_a_day_and_nothing_later_is_in_it() -> None:
    assert carts([(3, CART, NOW - CART_US - 1), (4, CART, NOW - CART_US), (5, CART, NOW)]) == [[4]]


def test_an_item_that_is_not_known_is_in_no_cart() -> None:
    assert carts([(0, CART, NOW - 1)]) == [[]]


def test_each_user_has_a_moment() -> None:
    assert carts([(3, CART, NOW - 1)], [(4, CART, NOW - 1)], at=np.array([NOW, NOW - 1])) == [[3], []]


def test_views_are_the_newest_events_before_the_moment() -> None:
    told = history([(1, PURCHASE, 5), (2, CART, 9)], [], [(3, VIEW, 1)])
    found = with_views(told, np.array([9, 20, 20]), [np.array([4, 5], np.int32), np.array([6], np.int32), np.array([], np.int32)])
    assert found.item_index.tolist() == [1, 4, 5, 6, 3]
    assert found.event_type.tolist() == [PURCHASE, VIEW, VIEW, VIEW, VIEW]
    assert found.occurred_at.tolist() == [5, 8, 8, 19, 1]
    assert found.offsets.tolist() == [0, 3, 4, 5]
    assert (found.item_index.dtype, found.event_type.dtype, found.occurred_at.dtype, found.offsets.dtype) == (np.int32, np.int8, np.int64, np.int64)


def test_an_item_that_the_newest_event_was_about_is_not_seen_twice() -> None:
    told = history([(4, VIEW, 1), (3, VIEW, 2)], [(4, PURCHASE, 5)], [])
    found = with_views(told, 9, [np.array([3, 4], np.int32), np.array([4], np.int32), np.array([4], np.int32)])
    assert [found.items_of(user).tolist() for user in range(3)] == [[4, 3, 4], [4], [4]]


def test_views_come_without_query_and_duration() -> None:
    signals = Sequences(
        *(np.array([n], kind) for n, kind in ((3, np.int32), (VIEW, np.int8), (1, np.int64))), np.array([0, 1]), np.array([2], np.int32)
    )
    found = with_views(signals, 9, [np.array([4], np.int32)])
    assert found.query_index is not None
    assert found.query_index.tolist() == [2, 0]
    assert found.duration is None


@given(st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=4), st.lists(st.integers(1, 9), max_size=3)), min_size=1, max_size=5))
def test_views_change_no_user_who_looks_at_nothing(users: list[tuple[list[int], list[int]]]) -> None:
    told = history(*([(item, PURCHASE, n) for n, item in enumerate(items)] for items, _ in users))
    found = with_views(told, 100, [np.array(seen, np.int32) for _, seen in users])
    for user, (items, seen) in enumerate(users):
        assert found.items_of(user).tolist() == items + [item for item in seen if item != (items[-1] if items else 0)]
