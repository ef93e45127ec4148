"""Habits: which of the items that a user bought before come next, from the user's own rhythm and from how everybody buys the item.

Pairs of a user and an own item are described by `core.habit_figures`; a small network, trained in `footfall.model.habits`, gives each a logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from footfall.core.habit_figures import FIGURES, LEVELS, RECENT_DAYS, TRAITS, Float32, ItemFacts, Pairs, describe
from footfall.core.metrics import Float64
from footfall.core.sequences import Sequences

Arrays = Mapping[str, npt.NDArray[Any]]
LAYERS = 3


@dataclass(frozen=True)
class Habits:
    """The trained network and what it reads: the habit part of a policy.

    Attributes:
        facts: of all items.
        mean, scale: (FIGURES,) that bring the figures to mean 0 and deviation 1.
        layers: LAYERS pairs of an (outputs, inputs) matrix and an (outputs,) offset; SiLU stands between them.
    """

    facts: ItemFacts
    mean: Float32
    scale: Float32
    layers: list[tuple[Float32, Float32]]

    @classmethod
    def of(cls, arrays: Arrays, items: int) -> Habits:
        """What `arrays` gave, for a vocabulary of `items`.

        Raises:
            ValueError: an array is missing, too many, or has another shape or type.
        """
        expected = _shapes(arrays, items)
        for name in sorted(expected.keys() | arrays.keys()):
            found = (arrays[name].dtype.name, arrays[name].shape) if name in arrays else None
            if found != expected.get(name):
                raise ValueError(f"{name} is {found}, expected {expected.get(name)}")
        groups = arrays["groups"]
        if groups.size and not 0 <= groups.min() <= groups.max() < items:
            raise ValueError(f"groups are {groups.min()} to {groups.max()}, expected 0 to {items - 1}")
        layers = [(arrays[f"layer{number}.matrix"], arrays[f"layer{number}.offset"]) for number in range(LAYERS)]
        return cls(ItemFacts(arrays["traits"], arrays["recent"], groups), arrays["mean"], arrays["scale"], layers)

    def with_recent(self, recent: Float32) -> Habits:
        """The same, with other recent purchases: (V, 3) from `core.habit_lessons.recent_purchases`."""
        return replace(self, facts=replace(self.facts, recent=recent))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything, by name, as it is written."""
        found = {"traits": self.facts.traits, "recent": self.facts.recent, "groups": self.facts.groups, "mean": self.mean, "scale": self.scale}
        for number, (matrix, offset) in enumerate(self.layers):
            found |= {f"layer{number}.matrix": matrix, f"layer{number}.offset": offset}
        return found

    def logits(self, pairs: Pairs) -> Float32:
        """(N,) one a pair; only the differences within a user say anything."""
        state: Float32 = (pairs.figures - self.mean) * self.scale
        for matrix, offset in self.layers[:-1]:
            state = state @ matrix.T + offset
            state /= 1 + np.exp(-np.clip(state, -60, 60))
        matrix, offset = self.layers[-1]
        found: Float32 = (state @ matrix.T + offset)[:, 0]
        return found

    def scores(self, history: Sequences) -> Float64:
        """(U, V) odds against the user's likeliest item, above 0 to 1; 0 for what the user never bought."""
        pairs = describe(history, self.facts)
        logits = self.logits(pairs).astype(np.float64)
        best = np.full(len(history), -np.inf)
        np.maximum.at(best, pairs.owners, logits)
        scores = np.zeros((len(history), len(self.facts.traits)))
        scores[pairs.owners, pairs.columns] = np.exp(np.maximum(logits - best[pairs.owners], _FAINTEST))
        return scores


_FAINTEST = -16.0  # an own item stays above one that is not, and above what only orders ties


def _shapes(arrays: Arrays, items: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape that every array must have; the width is that of the first offset."""
    width = len(arrays["layer0.offset"]) if "layer0.offset" in arrays and arrays["layer0.offset"].ndim == 1 else 0
    widths = [FIGURES, *[width] * (LAYERS - 1), 1]
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "traits": ("float32", (items, TRAITS)),
        "recent": ("float32", (items, len(RECENT_DAYS))),
        "groups": ("int32", (items, LEVELS)),
        "mean": ("float32", (FIGURES,)),
        "scale": ("float32", (FIGURES,)),
    }
    for number in range(LAYERS):
        expected[f"layer{number}.matrix"] = ("float32", (widths[number + 1], widths[number]))
        expected[f"layer{number}.offset"] = ("float32", (widths[number + 1],))
    return expected
