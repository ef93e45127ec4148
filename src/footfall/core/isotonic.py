"""Isotonic regression: the non-decreasing step function of a score that fits what came best, in squares.

Pool adjacent violators (Barlow, Bartholomew, Bremner and Brunk 1972, "Statistical inference under order restrictions"): neighbours whose means are
in the wrong order are put together until no two are. Blocks of few cases say 0 or 1 by chance, so a block that is too small joins the neighbour
whose level is nearer; the mean over all cases stays what it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footfall.core.metrics import Bools, Float64

LEAST = 1e-6
"""No chance is nearer to 0 or 1 than this: neither was ever seen to be certain."""


@dataclass(frozen=True)
class Steps:
    """A non-decreasing step function.

    Attributes:
        starts: (B,) ascending scores from which each block holds; what lies below the first takes the first.
        levels: (B,) ascending chances, from LEAST to 1 - LEAST.
    """

    starts: Float64
    levels: Float64

    def of(self, scores: Float64) -> Float64:
        """The level of each score, in the scores' own shape."""
        block = np.searchsorted(self.starts, scores, side="right") - 1
        return self.levels[np.maximum(block, 0)]


def fit_isotonic(scores: Float64, outcomes: Float64 | Bools, support: int = 1) -> Steps:
    """The steps that fit; equal scores are one.

    Args:
        scores: (N,) finite, in any order.
        outcomes: (N,) 0 or 1, or a share between them.
        support: fewest cases of a block; a block of all cases may have fewer.

    Raises:
        ValueError: no cases, a score that is not finite, or scores and outcomes differ in number.
    """
    if not len(scores) or len(scores) != len(outcomes) or not np.isfinite(scores).all():
        raise ValueError(f"isotonic regression needs finite scores, an outcome each: {len(scores)} scores, {len(outcomes)} outcomes")
    values, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    sums = np.bincount(place, weights=np.asarray(outcomes, np.float64))
    starts, total, cases = _pooled(values.tolist(), sums.tolist(), counts.tolist())
    _supported(starts, total, cases, support)
    levels = np.array(total) / np.array(cases)
    return Steps(np.array(starts), np.clip(levels, LEAST, 1 - LEAST))


def _pooled(values: list[float], sums: list[float], counts: list[int]) -> tuple[list[float], list[float], list[int]]:
    """Blocks by where they start, with the sum and the number of their cases; means ascend strictly."""
    starts: list[float] = []
    total: list[float] = []
    cases: list[int] = []
    for value, added, count in zip(values, sums, counts, strict=True):
        starts.append(value)
        total.append(added)
        cases.append(count)
        while len(total) > 1 and total[-2] * cases[-1] >= total[-1] * cases[-2]:
            _join(starts, total, cases, len(total) - 2)
    return starts, total, cases


def _supported(starts: list[float], total: list[float], cases: list[int], support: int) -> None:
    """Join blocks that are too small, from the lowest on; the order of the levels stays, because neighbours are joined."""
    block = 0
    while block < len(cases):
        if cases[block] >= support or len(cases) == 1:
            block += 1
            continue
        level = total[block] / cases[block]
        below = level - total[block - 1] / cases[block - 1] if block else np.inf
        above = total[block + 1] / cases[block + 1] - level if block + 1 < len(cases) else np.inf
        block = block - 1 if below <= above else block
        _join(starts, total, cases, block)


def _join(starts: list[float], total: list[float], cases: list[int], block: int) -> None:
    """Put a block and the one above it together."""
    del starts[block + 1]
    total[block] += total.pop(block + 1)
    cases[block] += cases.pop(block + 1)
