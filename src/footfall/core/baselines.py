"""Policies that need no gradient: popularity, personal frequency and item-to-item.

All read `Sequences`; column j of every score matrix is item_index j + 1, and index 0 (no item) scores nothing.
One user's scores depend on that user's history alone, so a request and a batch give the same figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.contracts import EVENT_TYPES, PURCHASE
from footfall.core.metrics import Float64, top_k
from footfall.core.sequences import DAY_US, Int32, Int64, Sequences

TIE_BREAK = 1e-9
"""Weight of popularity where it only orders what would otherwise be equal."""

_PURCHASE_CODE = EVENT_TYPES.index(PURCHASE)
_ROWS_A_BLOCK = 256


def purchases(sequences: Sequences) -> Sequences:
    """Only the purchases of items in the vocabulary."""
    return sequences.keep((sequences.event_type == _PURCHASE_CODE) & (sequences.item_index > 0))


def popularity(sequences: Sequences, items: int, until: int, days: int) -> Float64:
    """(V,) purchases of each item in the `days` days before `until` (microseconds), of all users."""
    bought = purchases(sequences)
    recent = (bought.occurred_at < until) & (bought.occurred_at >= until - days * DAY_US)
    return np.bincount(bought.item_index[recent], minlength=items + 1)[1:].astype(np.float64)


def personal_frequency(history: Sequences, items: int, half_life_days: float) -> Float64:
    """(U, V) each user's purchases of each item, a purchase counting half as much after `half_life_days`.

    Age is counted from the user's own newest event, not from the moment of the request: that only scales a row,
    so the ranking is the same, and asking the same history later cannot change it.
    """
    bought = purchases(history)
    filled = bought.lengths > 0
    newest = np.zeros(len(bought), dtype=np.int64)
    newest[filled] = bought.occurred_at[bought.offsets[1:][filled] - 1]
    owners = bought.owners
    age_days = (newest[owners] - bought.occurred_at) / DAY_US
    cells = owners * items + bought.item_index - 1
    scores: Float64 = np.bincount(cells, np.exp2(-age_days / half_life_days), len(bought) * items).astype(np.float64, copy=False)
    return scores.reshape(len(bought), items)


@dataclass(frozen=True)
class ItemToItem:
    """For each item the items most often bought with it.

    Attributes:
        neighbours: (V, N) int32 columns (item_index - 1), best first; where an item has fewer, column 0 with similarity 0 fills up.
        similarities: (V, N) float32 cosine of the two items' baskets, 0 to 1.
    """

    neighbours: Int32
    similarities: npt.NDArray[np.float32]

    def scores(self, interest: Float64) -> Float64:
        """(U, V) sum over the user's items of interest x similarity.

        Args:
            interest: (U, V) how much each user cares for each item, for example personal frequency; mostly zeros.
        """
        items = len(self.neighbours)
        result = np.empty((len(interest), items))
        for user, row in enumerate(interest):
            cared = np.flatnonzero(row != 0)  # seven times as quick as looking for the zeros of floats
            weights = row[cared, None] * self.similarities[cared]
            result[user] = np.bincount(self.neighbours[cared].ravel(), weights=weights.ravel(), minlength=items)
        return result


def fit_item_to_item(history: Sequences, items: int, neighbours: int) -> ItemToItem:
    """Cosine between items over baskets: pairs in common / sqrt(baskets of one x baskets of the other).

    A basket is what one user bought at one moment. Give only the history that may be learnt from.

    Args:
        history: all users' events, oldest first in each user.
        items: size V of the vocabulary.
        neighbours: N, kept per item; ties go to the lower item_index.
    """
    neighbours = min(neighbours, items)
    basket, column = _basket_lines(purchases(history))
    by_item = np.argsort(column, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=items))])
    basket_starts = np.concatenate([[0], np.cumsum(np.bincount(basket))])
    norm = np.sqrt(np.maximum(np.diff(starts), 1).astype(np.float64))
    nearest, similar = np.zeros((items, neighbours), np.int32), np.zeros((items, neighbours), np.float32)
    for first in range(0, items, _ROWS_A_BLOCK):
        last = min(first + _ROWS_A_BLOCK, items)
        lines = by_item[starts[first] : starts[last]]
        cosine = _common_baskets(basket[lines], column[lines] - first, basket_starts, column, (last - first, items))
        cosine /= norm[first:last, None] * norm
        cosine[np.arange(last - first), np.arange(first, last)] = 0  # an item is no neighbour of itself
        order = top_k(cosine, neighbours)
        similar[first:last] = np.take_along_axis(cosine, order, axis=1)
        nearest[first:last] = np.where(similar[first:last] > 0, order, 0)
    return ItemToItem(nearest, similar)


def _basket_lines(bought: Sequences) -> tuple[Int64, Int64]:
    """Distinct (basket, column) pairs in order of basket, then column; a basket is one user's purchases at one moment."""
    owners = bought.owners
    new_basket = np.ones(len(owners), dtype=np.bool_)
    new_basket[1:] = (owners[1:] != owners[:-1]) | (bought.occurred_at[1:] != bought.occurred_at[:-1])
    basket = np.cumsum(new_basket) - 1
    width = int(bought.item_index.max(initial=0)) + 1
    lines = np.unique(basket * width + bought.item_index)
    return lines // width, lines % width - 1


def _common_baskets(basket: Int64, row: Int64, basket_starts: Int64, column: Int64, shape: tuple[int, int]) -> Float64:
    """Dense counts of baskets in common: each (basket, row) line meets every line of its basket."""
    sizes = basket_starts[basket + 1] - basket_starts[basket]
    ends = np.cumsum(sizes)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
    partner = column[np.repeat(basket_starts[basket], sizes) + within]
    return np.bincount(np.repeat(row, sizes) * shape[1] + partner, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
