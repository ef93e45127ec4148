"""item_id <-> item_index: the items that the model knows, 1 upward; 0 is "no item in the vocabulary"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """V items in the order of their index: `item_ids[j]` has item_index j + 1.

    >>> vocabulary = Vocabulary(("apple", "pear"))
    >>> vocabulary.encode(["pear", "fuel", None]).tolist()
    [2, 0, 0]
    >>> vocabulary.decode([2, 1])
    ['pear', 'apple']
    """

    item_ids: tuple[str, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the look-up, refusing repeats."""
        index = {item_id: position for position, item_id in enumerate(self.item_ids, 1)}
        if len(index) != len(self.item_ids):
            raise ValueError("an item stands twice in the vocabulary")
        object.__setattr__(self, "_index", index)

    def __len__(self) -> int:
        """V, the number of items; indices run from 1 to V."""
        return len(self.item_ids)

    def __contains__(self, item_id: object) -> bool:
        """Whether the item has an index."""
        return item_id in self._index

    def encode(self, item_ids: Sequence[str | None]) -> Int32:
        """(N,) int32 item_index; 0 for an unknown item and for None."""
        look_up = self._index.get
        return np.fromiter((look_up(item_id, 0) if item_id is not None else 0 for item_id in item_ids), np.int32, len(item_ids))

    def decode(self, item_index: Sequence[int] | Int32) -> list[str]:
        """Item ids of indices from 1 to V.

        Raises:
            IndexError: an index outside 1..V.
        """
        found = []
        for index in item_index:
            if not 1 <= index <= len(self.item_ids):
                raise IndexError(f"item_index {index} outside 1..{len(self.item_ids)}")
            found.append(self.item_ids[index - 1])
        return found
