"""What a request says beside its history: the items that stand on the page already, or lie in the cart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from footfall.contracts import EVENT_TYPES, PURCHASE
from footfall.core.sequences import DAY_US, Int32, Int64, Sequences

CART_US = DAY_US
"""How long an item lies in a cart: shops do not say when one is emptied."""

_Integer = TypeVar("_Integer", bound=np.integer[Any])
_CART, _PURCHASE, _VIEW = EVENT_TYPES.index("cart"), EVENT_TYPES.index(PURCHASE), EVENT_TYPES.index("view")


def in_cart(history: Sequences, at: int | Int64) -> list[Int32]:
    """What lies in each user's cart at a moment (microseconds; one for all or (U,)): put there within CART_US and not bought since.

    Args:
        history: of U users; only what happened before `at` counts.
        at: the moment.

    Returns:
        U arrays of item indices, ascending.
    """
    before, moments = history.before(at), np.broadcast_to(np.asarray(at, np.int64), len(history))
    carts = []
    for user, moment in enumerate(moments):
        events = slice(before.offsets[user], before.offsets[user + 1])
        items, types, times = before.item_index[events], before.event_type[events], before.occurred_at[events]
        put = (types == _CART) & (times >= moment - CART_US) & (items > 0)
        bought = types == _PURCHASE
        left = [item for item in np.unique(items[put]) if times[bought & (items == item)].max(initial=-1) < times[put & (items == item)].max()]
        carts.append(np.array(left, np.int32))
    return carts


def with_views(history: Sequences, at: int | Int64, items: Sequence[Int32]) -> Sequences:
    """Histories before `at` in which each user has just looked at these items: a view of each, as the newest events.

    An item that the newest event was about already is not seen twice: most who stand on an item's page have sent that very view before.

    Args:
        history: of U users.
        at: the moment (microseconds; one for all or (U,)); the views come in the microsecond before it.
        items: U arrays of item indices.
    """
    before, moments = history.before(at), np.broadcast_to(np.asarray(at, np.int64), len(history))
    ends = before.offsets[1:]
    newest = np.where(before.lengths > 0, np.concatenate([before.item_index, [0]])[np.maximum(ends, 1) - 1], 0)
    new = [some[some != item] for some, item in zip(items, newest, strict=True)]
    added = np.array([len(some) for some in new], np.int64)
    places = np.repeat(ends, added)

    def insert(array: npt.NDArray[_Integer], values: npt.NDArray[Any] | int) -> npt.NDArray[_Integer]:
        return np.insert(array, places, np.asarray(values, array.dtype))

    return replace(
        before,
        item_index=insert(before.item_index, np.concatenate([np.empty(0, np.int32), *new])),
        event_type=insert(before.event_type, _VIEW),
        occurred_at=insert(before.occurred_at, np.repeat(moments - 1, added)),
        offsets=before.offsets + np.concatenate([[0], np.cumsum(added)]),
        query_index=None if before.query_index is None else insert(before.query_index, 0),
        duration=None if before.duration is None else insert(before.duration, 0),
    )
