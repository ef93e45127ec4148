"""Histories of many users as flat arrays: the one form in which the model and the baselines read behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
DAY_US = 86_400_000_000
_PIECE = 4_194_304  # events looked at together where no result needs more


@dataclass(frozen=True)
class Sequences:
    """Events of U users, E in all, user after user, each user's in (occurred_at, event_id) order.

    Attributes:
        item_index: (E,) int32, 0 for "no item in the vocabulary".
        event_type: (E,) int8, position in `contracts.EVENT_TYPES`.
        occurred_at: (E,) int64, microseconds since the epoch, UTC.
        offsets: (U + 1,) int64; user u owns events offsets[u]:offsets[u + 1].
        query_index: (E,) int32, what was searched for, 0 for nothing that is known; None where the shop has no searches.
        duration: (E,) int8, code of how long a view lasted (`signals.duration_codes`), 0 for unknown; None where the shop does not measure it.
    """

    item_index: Int32
    event_type: Int8
    occurred_at: Int64
    offsets: Int64
    query_index: Int32 | None = None
    duration: Int8 | None = None

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        given = [self.item_index, self.event_type, self.occurred_at, *(array for array in (self.query_index, self.duration) if array is not None)]
        events = int(self.offsets[-1])
        if any(len(array) != events for array in given):
            raise ValueError("sequences arrays differ in length")

    def __len__(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        """(U,) events a user."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def owners(self) -> Int64:
        """(E,) the user that owns each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def items_of(self, user: int) -> Int32:
        """Item indices of one user's events, as they came."""
        return self.item_index[self.offsets[user] : self.offsets[user + 1]]

    def count(self, mask: npt.NDArray[np.bool_]) -> Int64:
        """(U,) events a user where `mask` (E,) holds."""
        counts = np.zeros(len(self), np.int64)
        filled = self.offsets[:-1] < self.offsets[1:]  # an empty segment would count the first event of the next
        if filled.any():
            counts[filled] = np.add.reduceat(mask, self.offsets[:-1][filled], dtype=np.int64)
        return counts

    def keep(self, mask: npt.NDArray[np.bool_]) -> Sequences:
        """Only the events where `mask` (E,) holds; users stay, some perhaps empty."""
        if mask.all():
            return self
        offsets = np.concatenate([[0], np.cumsum(self.count(mask))]).astype(np.int64)
        return self._events(mask, offsets)

    def before(self, moment: int | Int64) -> Sequences:
        """Only what happened before `moment`: one for all, or (U,) one a user (microseconds)."""
        limit = moment if isinstance(moment, int) else np.repeat(moment, self.lengths)
        return self.keep(self.occurred_at < limit)

    def last(self, events: int) -> Sequences:
        """Each user's newest `events` events."""
        lengths = np.minimum(self.lengths, events)
        if lengths.sum() == len(self.item_index):
            return self
        return self._pick(self.offsets[1:] - lengths, lengths)

    def take(self, users: Int64) -> Sequences:
        """The users at these positions, in this order."""
        return self._pick(self.offsets[users], self.offsets[np.asarray(users) + 1] - self.offsets[users])

    def session_starts(self, gap_us: int) -> npt.NDArray[np.bool_]:
        """(E,) whether an event begins a session of its user: the first one, and each after a pause longer than `gap_us`.

        The same rule as `frames.sessions`, for arrays that are sorted already. It works in pieces, so that mapped arrays are never held whole.
        """
        starts = np.ones(len(self.occurred_at), bool)
        for first in range(1, len(starts), _PIECE):
            piece = self.occurred_at[first - 1 : first + _PIECE]
            np.greater(np.diff(piece), gap_us, out=starts[first : first + _PIECE])
        starts[self.offsets[:-1][self.lengths > 0]] = True
        return starts

    def _pick(self, starts: Int64, lengths: Int64) -> Sequences:
        """One user a segment of `lengths` events from each of `starts` on."""
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        index = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return self._events(index, offsets)

    def _events(self, chosen: npt.NDArray[Any], offsets: Int64) -> Sequences:
        """These events of every array, divided anew among users."""
        return Sequences(
            self.item_index[chosen],
            self.event_type[chosen],
            self.occurred_at[chosen],
            offsets,
            None if self.query_index is None else self.query_index[chosen],
            None if self.duration is None else self.duration[chosen],
        )
