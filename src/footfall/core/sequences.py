"""Histories of many users as four flat arrays: the one form in which the model and the baselines read behaviour."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    item_index: Int32
    event_type: Int8
    occurred_at: Int64
    offsets: Int64

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        if not len(self.item_index) == len(self.event_type) == len(self.occurred_at) == self.offsets[-1]:
            raise ValueError("sequences arrays differ in length")

    def __len__(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        """(U,) events a user."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Int64:
        """(E,) the user that owns each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def count(self, mask: npt.NDArray[np.bool_]) -> Int64:
        """(U,) events a user where `mask` (E,) holds."""
        counts = np.zeros(len(self), np.int64)
        filled = self.offsets[:-1] < self.offsets[1:]  # an empty segment would count the first event of the next
        if filled.any():
            counts[filled] = np.add.reduceat(mask, self.offsets[:-1][filled], dtype=np.int64)
        return counts

    def keep(self, mask: npt.NDArray[np.bool_]) -> Sequences:
        """Only the events where `mask` (E,) holds; users stay, some perhaps empty."""
        offsets = np.concatenate([[0], np.cumsum(self.count(mask))]).astype(np.int64)
        return Sequences(self.item_index[mask], self.event_type[mask], self.occurred_at[mask], offsets)

    def before(self, moment: int | Int64) -> Sequences:
        """Only what happened before `moment`: one for all, or (U,) one a user (microseconds)."""
        limit = moment if isinstance(moment, int) else np.repeat(moment, self.lengths)
        return self.keep(self.occurred_at < limit)

    def last(self, events: int) -> Sequences:
        """Each user's newest `events` events."""
        lengths = np.minimum(self.lengths, events)
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
        return Sequences(self.item_index[index], self.event_type[index], self.occurred_at[index], offsets)
