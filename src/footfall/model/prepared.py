"""Histories made ready for packing: what is true of a user whoever else is in a step, found once for all users and held where the model trains.

Packing (`batches.pack`) then only copies runs of these arrays. A row is a user's own number of a moment, a key its own number of a distinct item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from footfall.core.sequence_model import GAP_BOUNDS_US
from footfall.core.sequences import Int32, Int64, Sequences

_BOUNDS = torch.from_numpy(GAP_BOUNDS_US)


def gap_bucket(gap_us: Tensor) -> Tensor:
    """Time-gap bucket: 0 for none, then four a doubling of (1 + hours)."""
    return torch.bucketize(gap_us, _BOUNDS.to(gap_us.device))


@dataclass(frozen=True)
class Runs:
    """Arrays that hold a run of values a user, user after user.

    Attributes:
        offsets: (U + 1,) where the runs begin; on the CPU.
        columns: name -> (N,) values.
    """

    offsets: Int64
    columns: Mapping[str, Tensor]

    @cached_property
    def lengths(self) -> Int64:
        """(U,) values a user."""
        return np.diff(self.offsets)

    def to(self, device: torch.device) -> Runs:
        """The same on `device`."""
        return Runs(self.offsets, {name: column.to(device) for name, column in self.columns.items()})


@dataclass(frozen=True)
class Prepared:
    """U users.

    Attributes:
        events: item, event_type, row, share (one over the events in its moment); query and duration where the histories have them.
        touches: row, key, event_type of the events with an item.
        moments: time (microseconds), gap_before (bucket since the user's previous moment), weight (of its targets in the loss; 0 without any).
        candidates: item; each user's distinct items, ascending.
        targets: row, key, item, weight (sums to 1 over a row's).
        labels: row; those that have targets.
    """

    events: Runs
    touches: Runs
    moments: Runs
    candidates: Runs
    targets: Runs
    labels: Runs

    def __len__(self) -> int:
        """Number of users."""
        return len(self.events.offsets) - 1

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.events.columns["row"].device

    def to(self, device: torch.device) -> Prepared:
        """The same on `device`."""
        return Prepared(*(runs.to(device) for runs in (self.events, self.touches, self.moments, self.candidates, self.targets, self.labels)))


def prepare(sequences: Sequences, target_type: int | None = None, basket_power: float = 0.0) -> Prepared:
    """Make users ready that each have at least one event.

    Args:
        sequences: the users, already cut to what the model may read.
        target_type: event type code whose items are predicted: a moment's targets are the distinct items of the next moment of the same user
            that holds such an event. None: no targets (requests).
        basket_power: a moment weighs its number of targets to this power.
    """
    found = _Numbers(sequences)
    kind = sequences.event_type.astype(np.int32)
    gap_before = np.diff(found.time, prepend=found.time[:1])
    gap_before[found.moments[:-1]] = 0
    targets, labels, weight = _lessons(found, kind[found.known] == target_type, basket_power)
    signals = {"query": sequences.query_index, "duration": sequences.duration}
    return Prepared(
        events=_runs(
            sequences.offsets.astype(np.int64),
            item=sequences.item_index.astype(np.int32),
            event_type=kind,
            row=found.own_row(found.row),
            share=(1.0 / np.bincount(found.row))[found.row].astype(np.float32),
            **{name: column.astype(np.int32) for name, column in signals.items() if column is not None},
        ),
        touches=_runs(
            found.offsets(found.moment_owner[found.row[found.known]]),
            row=found.own_row(found.row[found.known]),
            key=found.own_key(found.key),
            event_type=kind[found.known],
        ),
        moments=_runs(found.moments, time=found.time, gap_before=gap_bucket(torch.from_numpy(gap_before)).numpy(), weight=weight),
        candidates=_runs(found.candidates, item=found.items),
        targets=targets,
        labels=labels,
    )


class _Numbers:
    """Which moment each event is and which distinct item each touch, numbered over all users.

    Attributes:
        row: (E,) moment of each event; `known` (E,) whether it has an item; `key` (touches,) the item among its user's distinct ones.
        moment_owner, time: (M,) of each moment.
        items: (K,) item_index of each key.
        moments, candidates: (U + 1,) where each user's begin.
    """

    def __init__(self, sequences: Sequences) -> None:
        owner, self._users = sequences.owners, len(sequences)
        starts = np.ones(len(owner), dtype=bool)
        starts[1:] = (np.diff(sequences.occurred_at) != 0) | (np.diff(owner) != 0)
        self.row = np.cumsum(starts) - 1
        self.moment_owner, self.time = owner[starts], sequences.occurred_at[starts]
        self.known = sequences.item_index > 0
        width = int(sequences.item_index.max(initial=0)) + 1
        keys, self.key = np.unique(owner[self.known] * width + sequences.item_index[self.known], return_inverse=True)  # (user, item), ascending
        self.items, self._key_owner = keys % width, keys // width
        self.moments, self.candidates = self.offsets(self.moment_owner), self.offsets(self._key_owner)

    def offsets(self, owner: Int64) -> Int64:
        """(U + 1,) from the ascending owners of some values."""
        return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=self._users))]).astype(np.int64)

    def own_row(self, row: Int64) -> Int32:
        """A moment's number among its user's."""
        return (row - self.moments[self.moment_owner[row]]).astype(np.int32)

    def own_key(self, key: Int64) -> Int32:
        """A distinct item's number among its user's."""
        own: Int32 = (key - self.candidates[self._key_owner[key]]).astype(np.int32)
        return own


def _lessons(found: _Numbers, wanted: np.ndarray, basket_power: float) -> tuple[Runs, Runs, np.ndarray]:
    """Targets, labels, and the (M,) weight of each moment; `wanted` says which touches may be targets."""
    row, key = _targets(found.row[found.known], found.key, wanted, found.moment_owner)
    count = np.bincount(row, minlength=len(found.time))
    labels = np.flatnonzero(count)
    targets = _runs(
        found.offsets(found.moment_owner[row]),
        row=found.own_row(row),
        key=found.own_key(key),
        item=found.items[key],
        weight=(1.0 / np.maximum(count, 1))[row].astype(np.float32),
    )
    weight = np.where(count > 0, np.maximum(count, 1.0) ** basket_power, 0.0).astype(np.float32)
    return targets, _runs(found.offsets(found.moment_owner[labels]), row=found.own_row(labels)), weight


def _runs(offsets: Int64, **columns: np.ndarray) -> Runs:
    return Runs(offsets, {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()})


def _targets(row: Int64, key: Int64, wanted: np.ndarray, moment_owner: Int64) -> tuple[Int64, Int64]:
    """(row, key) of every target: for each moment the distinct items of its user's next moment that holds a wanted event."""
    pairs = np.unique(np.stack([row[wanted], key[wanted]]), axis=1)
    labelled = np.unique(pairs[0])  # rows that are somebody's target moment
    after = np.searchsorted(labelled, np.arange(len(moment_owner)), side="right")
    rows = np.flatnonzero(after < len(labelled))
    following = labelled[after[rows]]
    same = moment_owner[following] == moment_owner[rows]
    rows, following = rows[same], following[same]
    begin, end = np.searchsorted(pairs[0], following), np.searchsorted(pairs[0], following, side="right")
    counts = end - begin
    index = np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return np.repeat(rows, counts), pairs[1][index]
