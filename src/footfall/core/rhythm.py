"""When a user comes and buys: moments in time, and a few plain figures about them at any moment.

Events of one user that share a time are one moment (a basket, a click). Every figure at a moment is read from what happened strictly before it.
The figures are those of recency and frequency that models of repeat buying start from (Fader, Hardie and Lee 2005, "RFM and CLV"), on a logarithmic
scale, so that a linear model of them is a fair baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from footfall.contracts import EVENT_TYPES, PURCHASE
from footfall.core.sequences import DAY_US, Int64, Sequences

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KINDS = len(EVENT_TYPES)
_MOMENT_DAYS, _PURCHASE_DAYS = (1, 7, 28), (7, 28, 90)
_GAPS = 10
"""Newest purchases whose distances are averaged."""
FIGURES = (
    "since_last_moment",
    *(f"moments_{days}d" for days in _MOMENT_DAYS),
    "since_first_moment",
    "ever_bought",
    "since_last_purchase",
    *(f"purchases_{days}d" for days in _PURCHASE_DAYS),
    "purchases",
    "gap_between_purchases",
    "since_last_purchase_in_gaps",
    *(f"last_moment_{name}" for name in EVENT_TYPES),
)
"""Names of the columns of `Moments.figures`: spans and counts as log(1 + days or number), the last seven as shares of the newest moment's events."""


@dataclass(frozen=True)
class Track:
    """(N,) moments of U users, user after user, each user's ascending; user u owns times[offsets[u]:offsets[u + 1]]."""

    times: Int64
    offsets: Int64

    def place(self, users: Int64, at: Int64) -> Int64:
        """(Q,) where the first moment at or after `at` of each asked user stands; the end of the user's own moments where there is none."""
        low, high = self.offsets[users].copy(), self.offsets[users + 1].copy()
        while (open_ := low < high).any():
            middle = (low + high) // 2
            earlier = open_ & (self.times[np.minimum(middle, len(self.times) - 1)] < at)
            low, high = np.where(earlier, middle + 1, low), np.where(open_ & ~earlier, middle, high)
        return low

    def next_after(self, users: Int64, at: Int64) -> tuple[Int64, Bools]:
        """(Q,) position of each asked user's first moment at or after `at`, and (Q,) whether there is one; where there is none the position is 0."""
        found = self.place(users, at)
        there: Bools = found < self.offsets[users + 1]
        return np.where(there, found, 0), there


class Moments:
    """The moments of U users.

    Attributes:
        all: every moment.
        bought: those with a purchase.
        last_event: (M,) position in the sequences of each moment's last event.
        types: (M, 7) share of each event type among a moment's events.
    """

    def __init__(self, sequences: Sequences) -> None:
        """Find the moments."""
        starts = sequences.session_starts(0)
        first = np.flatnonzero(starts)
        owner = sequences.owners[first]
        self.all = Track(sequences.occurred_at[first].astype(np.int64), _offsets(owner, len(sequences)))
        self._first_event = np.append(first, len(starts))
        self.last_event = self._first_event[1:] - 1
        self._row = np.cumsum(starts) - 1
        cells = self._row * KINDS + sequences.event_type
        counts = np.bincount(cells, minlength=len(first) * KINDS).reshape(len(first), KINDS)
        self.types: Float64 = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        buys = counts[:, EVENT_TYPES.index(PURCHASE)] > 0
        self.bought = Track(self.all.times[buys], _offsets(owner[buys], len(sequences)))
        self._bought_before = np.concatenate([[0], np.cumsum(buys)])
        self._offsets = sequences.offsets

    def newest(self, users: Int64, at: Int64) -> Int64:
        """(Q,) each asked user's newest moment before `at`.

        Raises:
            ValueError: somebody has none.
        """
        place = self.all.place(users, at)
        if (place == self.all.offsets[users]).any():
            raise ValueError("a user without a moment before the one asked for")
        return np.asarray(place - 1)

    def figures(self, users: Int64, at: Int64, events: int) -> Float64:
        """(Q, len(FIGURES)) of each asked user at the moment `at` (microseconds).

        Args:
            users: (Q,) positions in the sequences; each has a moment before `at`.
            at: (Q,).
            events: only the newest so many events before `at` are read, as everywhere else.

        Raises:
            ValueError: somebody has no moment before `at`.
        """
        newest = self.newest(users, at)
        oldest = self._row[np.maximum(self._offsets[users], self._first_event[newest + 1] - events)]
        end, bought_end, bought_first = newest + 1, self.bought.place(users, at), self._bought_before[oldest]
        ever = bought_end > bought_first
        since_last, since_first = _days(at - self.all.times[newest]), _days(at - self.all.times[oldest])
        since_bought = np.where(ever, _days(at - _at(self.bought.times, bought_end - 1)), since_first)
        from_ = np.maximum(bought_first, bought_end - _GAPS)
        spans = bought_end - 1 - from_
        gap = _days(_at(self.bought.times, bought_end - 1) - _at(self.bought.times, from_)) / np.maximum(spans, 1)
        gap = np.where(spans > 0, gap, np.maximum(since_first, 1.0))
        return np.column_stack(
            [
                np.log1p(since_last),
                *(np.log1p(end - np.maximum(oldest, self.all.place(users, at - days * DAY_US))) for days in _MOMENT_DAYS),
                np.log1p(since_first),
                ever,
                np.log1p(since_bought),
                *(np.log1p(np.maximum(bought_end - np.maximum(bought_first, self.bought.place(users, at - d * DAY_US)), 0)) for d in _PURCHASE_DAYS),
                np.log1p(np.maximum(bought_end - bought_first, 0)),
                np.log1p(gap),
                np.log1p(since_bought) - np.log1p(gap),
                self.types[newest],
            ]
        )


def _offsets(owner: Int64, users: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=users))]).astype(np.int64)


def _days(span_us: Int64) -> Float64:
    return np.asarray(span_us / DAY_US)


def _at(times: Int64, places: Int64) -> Int64:
    """`times` at some places; 0 where there are no times at all."""
    return times[np.clip(places, 0, len(times) - 1)] if len(times) else np.zeros(len(places), np.int64)
