"""What is popular in a segment: what its buyers bought, drawn to what is popular overall where they are few.

Of a segment with B buyers an item's share is (B * own + PRIOR * overall) / (B + PRIOR): its share of the segment's purchases and its share of
everybody's, as if PRIOR buyers like everybody were among them (Dirichlet smoothing: Zhai and Lafferty 2004, "A study of smoothing methods for
language models"). The weight is told in buyers, not in purchases, for a buyer's purchases are alike: it then means the same in every shop.
Of a user with several segments the shares are averaged: none speaks louder for being large, and one that says nothing takes nobody's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.core.fusion import share_of_best
from footfall.core.metrics import Float64
from footfall.core.vocabulary import Vocabulary

LEAST_BUYERS = 20
"""A segment with fewer is not used: a list of so few people's purchases would be about them."""
PRIOR = 200.0
"""Buyers like everybody that are laid to a segment's own; chosen on validation (docs/slates.md)."""
MOST_SEGMENTS = 500
CELLS = 1 << 22
"""Numbers kept at most, segments times items: 16 MiB. A shop of a million items has room for four segments."""


@dataclass(frozen=True)
class SegmentShares:
    """What is popular in each segment of a shop.

    Attributes:
        vocabulary: V items.
        rows: segment -> its row.
        shares: (S, V) of purchases, smoothed; a row sums to 1.
    """

    vocabulary: Vocabulary
    rows: Mapping[str, int]
    shares: npt.NDArray[np.float32]

    def popular(self, segments: Iterable[str]) -> Float64 | None:
        """(V,) what is popular with users of these segments, as a share of the most popular item's; None where none of the segments is known."""
        rows = sorted({self.rows[segment] for segment in segments if segment in self.rows})
        return share_of_best(self.shares[rows].mean(axis=0, dtype=np.float64)[None, :])[0] if rows else None


class SegmentTally:
    """Counts purchases by segment, a user at a time. How much room that takes is settled before the first."""

    def __init__(self, vocabulary: Vocabulary, users: Mapping[str, int]) -> None:
        """Count for the largest segments by their number of `users`, as many as there is room for; of equals for the word that comes first."""
        room = min(MOST_SEGMENTS, CELLS // max(len(vocabulary), 1))
        large = [segment for segment, number in users.items() if number >= LEAST_BUYERS]
        kept = sorted(large, key=lambda segment: (-users[segment], segment))[:room]
        self._vocabulary, self._rows = vocabulary, {segment: row for row, segment in enumerate(kept)}
        self._counts = np.zeros((len(kept), len(vocabulary)), np.float32)
        self._buyers = np.zeros(len(kept), np.int64)

    @property
    def segments(self) -> Set[str]:
        """Those that are counted for."""
        return self._rows.keys()

    def add(self, segments: Iterable[str], bought: Mapping[str, int]) -> None:
        """What one user of these segments bought: item id -> purchases. Items that the vocabulary lacks make no buyer."""
        rows = np.array([self._rows[segment] for segment in segments if segment in self._rows], np.int64)
        index, number = self._vocabulary.encode(list(bought)), np.array(list(bought.values()), np.float32)
        known = index > 0
        if len(rows) and known.any():
            self._counts[np.ix_(rows, index[known] - 1)] += number[known]
            self._buyers[rows] += 1

    def shares(self, popularity: Float64) -> SegmentShares:
        """Shares of the segments that have LEAST_BUYERS.

        Args:
            popularity: (V,) purchases of everybody.
        """
        kept = self._buyers >= LEAST_BUYERS
        shares, buyers = self._counts[kept], self._buyers[kept, None].astype(np.float32)
        shares *= buyers / shares.sum(axis=1, keepdims=True)
        shares += (PRIOR * popularity / max(float(popularity.sum()), 1.0)).astype(np.float32)
        shares /= buyers + np.float32(PRIOR)
        names = [segment for segment, row in self._rows.items() if kept[row]]
        return SegmentShares(self._vocabulary, {segment: row for row, segment in enumerate(names)}, shares)
