"""Whom a time split asks, and when: a user's last moment after the cut, or each one after the other. A moment is what one user did at one time.

Histories reach up to the moment itself, past the cut too; what was learnt ends at the cut. Several items at one time (a basket) are its targets
together: figures are those of `core.metrics`, and with one item a moment those of a single target. A user counts once, as the mean of the moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.event_table import Events
from footfall.core.figures import Figures, from_slates
from footfall.core.metrics import CUTOFFS, Bools, Floats, top_k
from footfall.core.sequences import Int32, Int64, Sequences

Policies = Callable[[Sequences, Int64], Mapping[str, Floats]]
"""(histories of U users, the moments (U,) at which they are asked) -> name -> (U, V) scores."""
_MOMENTS = 256


@dataclass(frozen=True)
class Asked:
    """M moments of some users.

    Attributes:
        sequences: of everybody, whole.
        owners: (M,) whose moment.
        at: (M,) when, in microseconds.
        offsets, targets: flat item_index, an item once a moment; 0 is outside the vocabulary.
    """

    sequences: Sequences
    owners: Int64
    at: Int64
    offsets: Int64
    targets: Int32

    def __len__(self) -> int:
        """M."""
        return len(self.owners)

    def history(self, moments: Int64) -> Sequences:
        """What the users of these moments had done before them."""
        return self.sequences.take(self.owners[moments]).before(self.at[moments])

    def take(self, moments: Int64) -> Asked:
        """Some of the moments."""
        sizes = np.diff(self.offsets)[moments]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        index = np.repeat(self.offsets[moments] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return Asked(self.sequences, self.owners[moments], self.at[moments], offsets, self.targets[index])


def ask(events: Events, start: int, end: int | None = None) -> Asked:
    """Every moment from `start` on (before `end`) of users who had done something before it; see `last_of`.

    Args:
        events: of everybody, whole.
        start, end: microseconds.
    """
    sequences = events.sequences
    owners, at = sequences.owners, sequences.occurred_at
    earlier = at > np.repeat(at[np.minimum(sequences.offsets[:-1], max(len(at) - 1, 0))], sequences.lengths)
    wanted = np.flatnonzero((at >= start) & earlier & (True if end is None else at < end))
    rows = np.stack([owners[wanted], at[wanted], events.codes[wanted]], axis=1)
    rows, kept = np.unique(rows, axis=0, return_index=True)  # an item twice in one basket is one target
    first = np.ones(len(rows), np.bool_)
    first[1:] = (rows[1:, :2] != rows[:-1, :2]).any(axis=1)
    offsets = np.concatenate([np.flatnonzero(first), [len(rows)]]).astype(np.int64)
    return Asked(sequences, rows[first, 0], rows[first, 1], offsets, sequences.item_index[wanted[kept]])


def last_of(asked: Asked) -> Asked:
    """Each user's last moment alone."""
    return asked.take(np.flatnonzero(np.append(asked.owners[1:] != asked.owners[:-1], True)[: len(asked)]))


def drawn(asked: Asked, users: int, seed: int) -> Asked:
    """The moments of so many users, drawn by a seed."""
    there = np.unique(asked.owners)
    kept = np.random.default_rng(seed).permutation(there)[:users]
    return asked.take(np.flatnonzero(np.isin(asked.owners, kept)))


def slates(asked: Asked, policies: Policies, *, masked: bool, k: int = CUTOFFS[-1]) -> dict[str, Int64]:
    """Policy -> (M, k) item_index, best first; 0 where too few items are left.

    Args:
        asked: the moments.
        policies: what scores them.
        masked: show nothing that is in the user's history.
        k: positions.
    """
    found: dict[str, list[Int64]] = {}
    for moments in blocks(asked):
        history = asked.history(moments)
        for name, rows in policies(history, asked.at[moments]).items():
            found.setdefault(name, []).append(_best(rows, history if masked else None, k))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def without_seen(rows: Floats, seen: Sequences) -> Floats:
    """The same scores, -inf for what is in the user's history."""
    known, rows = seen.item_index > 0, rows.copy()
    rows[seen.owners[known], seen.item_index[known] - 1] = -np.inf
    return rows


def _best(rows: Floats, seen: Sequences | None, k: int) -> Int64:
    rows = rows if seen is None else without_seen(rows, seen)
    columns = top_k(rows, k)
    best = np.where(np.isfinite(np.take_along_axis(rows, columns, axis=1)), columns + 1, 0)
    return np.pad(best, ((0, 0), (0, k - best.shape[1])))


def figures(shown: Int64, asked: Asked, members: Bools | None = None) -> Figures:
    """Every user's figures, the mean over the user's moments; over some moments where `members` (M,) says so."""
    by_moment = from_slates(shown, asked.offsets, asked.targets)
    users, owner = np.unique(asked.owners if members is None else asked.owners[members], return_inverse=True)
    counts = np.bincount(owner, minlength=len(users))
    return {
        name: np.bincount(owner, weights=values if members is None else values[members], minlength=len(users)) / counts
        for name, values in by_moment.items()
    }


def blocks(asked: Asked) -> Iterator[Int64]:
    """Positions of moments that are ranked together."""
    for first in range(0, len(asked), _MOMENTS):
        yield np.arange(first, min(first + _MOMENTS, len(asked)))
