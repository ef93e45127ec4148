"""Which items belong together: bought with one another, or bought with the same things.

All of it comes from the item-to-item part. A model's item vectors step in only where nobody bought an item with anything, for by themselves they find
less: figures in docs/slates.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.core.baselines import TIE_BREAK, ItemToItem
from footfall.core.fusion import share_of_best
from footfall.core.item_facts import CatalogueFacts
from footfall.core.metrics import Float64
from footfall.core.sequences import Int32, Int64

Float32 = npt.NDArray[np.float32]
PROFILE = 32
"""Neighbours that make an item's profile where a slate waits for it, the closest ones: with all of them it is no more diverse."""
SHALLOW = 2
"""Levels of a category within which items stand in for each other rather than go together."""
NOT_TOGETHER = 1e-8
"""Scores of `substitutes` and `companions` up to this say that popularity alone put the item there."""
_TINY = np.float32(np.finfo(np.float32).tiny)
Near = Callable[[int], Float32]
"""Position of one candidate -> (N,) how near it is to each candidate, 0 to 1."""


@dataclass(frozen=True)
class Related:
    """What is known of V items' neighbourhoods; columns are item_index - 1.

    Attributes:
        item_to_item: who is bought with whom.
        pull: (V,) root of (1 + purchases). Cosine times this is, but for a factor of the first item's own, the chance that the second is
            bought where the first one is: rare pairs no longer stand above what nearly everybody takes along.
        vectors: (V, D) the model's item vectors; None where there are none.
    """

    item_to_item: ItemToItem
    pull: Float64
    vectors: Float32 | None = None

    @classmethod
    def of(cls, item_to_item: ItemToItem, popularity: Float64, vectors: Float32 | None = None) -> Related:
        """Take the parts of a bundle; `popularity` (V,) is counted in purchases."""
        return cls(item_to_item, np.sqrt(1.0 + popularity), vectors)

    def together(self, columns: Int32 | Int64) -> Float64:
        """(V,) how much each item is bought where these are, summed over them; 0 for what never was."""
        interest = np.zeros((1, len(self.pull)))
        interest[0, columns] = 1.0
        found: Float64 = self.item_to_item.scores(interest)[0] * self.pull
        return found

    def alike(self, column: int, others: Int64 | None = None) -> Float64:
        """(V,) how much items are bought with the same things as this one: cosine of their whole profiles, times `pull`.

        Compared are its neighbours, theirs, and the `others` (columns); further off hardly anything is shared. An item without neighbours is
        compared with all by vectors. Popularity orders what is nothing like it.
        """
        table = self.item_to_item
        found: Float64 = TIE_BREAK * self.pull / self.pull.max()
        if not table.similarities[column].any():
            return found + self.pull * np.maximum(self._cosines(column), 0.0)
        first = table.neighbours[column]
        reached = np.concatenate([[column], first, table.neighbours[first, :PROFILE].ravel(), others if others is not None else ()])
        reached = np.unique(reached.astype(np.int64))
        at = int(np.searchsorted(reached, column))
        found[reached] += self.pull[reached] * self.near(reached, len(first))(at)
        return found

    def near(self, columns: Int32 | Int64, closest: int = PROFILE) -> Near:
        """Cosines of the profiles of these N items, one row at a time; an item without neighbours is near to none.

        The function that comes back keeps a row of V numbers: it belongs to one thread.

        Args:
            columns: of the items.
            closest: neighbours that make an item's profile, each with its similarity.
        """
        shares = self.item_to_item.similarities[columns, :closest]
        shares = shares / np.maximum(np.sqrt(np.einsum("nk,nk->n", shares, shares)), _TINY)[:, None]
        lists = np.where(shares > 0, self.item_to_item.neighbours[columns, :closest], len(self.pull))  # what fills a short list points nowhere
        profile = np.zeros(len(self.pull) + 1, np.float32)

        def to(position: int) -> Float32:
            profile[lists[position]] = shares[position]
            found: Float32 = np.einsum("nk,nk->n", profile.take(lists), shares)
            profile[lists[position]] = 0.0
            return found

        return to

    def _cosines(self, column: int) -> Float64:
        if self.vectors is None:
            return np.zeros(len(self.pull))
        lengths = np.linalg.norm(self.vectors, axis=1) * np.linalg.norm(self.vectors[column])
        products = self.vectors @ self.vectors[column]
        cosines: Float64 = np.divide(products, lengths, out=np.zeros(len(lengths)), where=lengths > 0, dtype=np.float64)
        return cosines


def substitutes(related: Related, column: int, facts: CatalogueFacts | None = None) -> Float64:
    """(V,) what may be bought in the place of an item: 0 to 1 for how alike, 1 more in the same category at SHALLOW levels, 2 more in the very same.

    Without facts, or where the item's category is unknown, all is compared as one category.
    """
    levels = [] if facts is None else [facts.category_at(deep) for deep in (SHALLOW, facts.category.shape[1])]
    same = [codes == codes[column] for codes in levels if codes[column]]
    alike = related.alike(column, np.flatnonzero(same[0]) if same else None)
    shares: Float64 = share_of_best(_others(alike, [column])[None])[0]
    for belongs in same:
        shares += belongs
    return shares


def companions(related: Related, columns: Int32 | Int64, facts: CatalogueFacts | None = None) -> Float64:
    """(V,) what goes with some items: 0 to 1 for how much it is bought with them, 1 more if it is at all and lies in another category.

    What was never bought with them has less than 1e-8, the popular items the most. Without facts no category is preferred.
    """
    shares: Float64 = share_of_best(_others(related.together(columns), columns)[None])[0]
    bought = shares > 0
    shares += TIE_BREAK * related.pull / related.pull.max()
    if facts is None:
        return shares
    codes = facts.category_at(SHALLOW)
    theirs = codes[columns][codes[columns] > 0]
    if len(theirs):
        shares += bought & (codes > 0) & ~np.isin(codes, theirs)
    return shares


def _others(scores: Float64, columns: Int32 | Int64 | list[int]) -> Float64:
    """The same scores with nothing for these items themselves."""
    scores[columns] = 0.0
    return scores
