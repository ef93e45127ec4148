"""Packing: histories of many users as flat tensors with no pad position, for training and for requests alike.

Events of one user that share a time form one *moment* (a basket, a click): the order inside it says nothing, so the model reads it as a set and
the transformer's positions are moments. Everything that the network would otherwise look up per pair of moments is prepared here once.

Shape suffixes: E events, M moments, U users; of one user: T moments, D distinct items ("candidates": what the user ever touched in this window).
Flat "pair" arrays hold a T x T square a user, flat "grid" positions a T x D rectangle a user, user after user.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from footfall.core.sequences import Int64, Sequences

HOUR_US = 3_600_000_000
DISTANCE_BUCKETS = 64
GAP_BUCKETS = 64
_GAP_STEPS = 4  # time-gap buckets per doubling: a week is told from ten days; 64 buckets reach 6 years


@dataclass(frozen=True)
class Slices:
    """Where one user's parts lie in a `Pack`."""

    rows: slice
    pairs: slice
    candidates: slice
    grid: slice
    targets: slice
    moments: int
    distinct: int


@dataclass(frozen=True)
class Pack:
    """Some users, packed back to back without padding.

    Attributes:
        item_index, event_type, moment: (E,) item, kind and packed row (moment) of each event.
        share: (E,) one over the events in its moment, so that a sum over a moment is a mean.
        gap_before: (M,) time-gap bucket since the user's previous moment.
        distance, gap: (sum T*T,) buckets of the relation "row moment looks at column moment"; distance 0 means "the future: must not look".
        candidates: (sum D,) item_index of each user's distinct items, ascending.
        event_cell: (E',) grid position (moment, candidate) of the events with an item; `cell_type` (E',) their event type.
        target_cell: (L,) grid position (moment, candidate) of what comes next; `target_weight` (L,) sums to 1 over a moment's targets.
        moment_weight: (M,) what a moment's prediction counts in the loss; 0 without targets.
        users: where each user's parts lie.
    """

    item_index: Tensor
    event_type: Tensor
    moment: Tensor
    share: Tensor
    gap_before: Tensor
    distance: Tensor
    gap: Tensor
    candidates: Tensor
    event_cell: Tensor
    cell_type: Tensor
    target_cell: Tensor
    target_weight: Tensor
    moment_weight: Tensor
    users: tuple[Slices, ...]

    @property
    def events(self) -> int:
        """Events in the pack."""
        return len(self.item_index)

    @property
    def targets(self) -> int:
        """Targets in the pack."""
        return len(self.target_cell)

    def targets_by_user(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each user's targets: cells within the user's own grid, and their weights."""
        for u in self.users:
            yield self.target_cell[u.targets] - u.grid.start, self.target_weight[u.targets]

    def to(self, device: torch.device) -> Pack:
        """The same pack on `device`."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "users"}
        return replace(self, **{name: part.to(device) for name, part in parts.items()})


def chop(sequences: Sequences, events: int) -> Sequences:
    """Windows of at most `events` events, so that all events of all users are read: the newest first cut from the end, as a request is.

    Returns one "user" a window; a user's oldest window holds what is left over. Users without events are dropped.
    """
    bounds: list[int] = []
    for start, end in zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True):
        bounds.extend(sorted(range(end, start, -events)))
    offsets = np.array([0, *bounds], dtype=np.int64)
    return Sequences(sequences.item_index, sequences.event_type, sequences.occurred_at, offsets)


def group(lengths: Int64, tokens: int, order: Int64) -> Iterator[Int64]:
    """Cut `order` (positions of users) into groups of at most `tokens` events; a longer user stands alone."""
    held: list[int] = []
    used = 0
    for user in order.tolist():
        if held and used + int(lengths[user]) > tokens:
            yield np.array(held, dtype=np.int64)
            held, used = [], 0
        held.append(user)
        used += int(lengths[user])
    if held:
        yield np.array(held, dtype=np.int64)


def gap_bucket(gap_us: Int64) -> Int64:
    """Time-gap bucket: 0 for none, then `_GAP_STEPS` a doubling of (1 + hours)."""
    bucket: Int64 = np.ceil(_GAP_STEPS * np.log2(1.0 + np.maximum(gap_us, 0) / HOUR_US)).astype(np.int64)
    return np.minimum(bucket, np.int64(GAP_BUCKETS - 1))


def pack(sequences: Sequences, target_type: int | None = None, basket_power: float = 0.0) -> Pack:
    """Pack users that each have at least one event.

    Args:
        sequences: the users, already cut to what the model may read.
        target_type: event type code whose items are predicted: a moment's targets are the distinct items of the next moment of the same user
            that holds such an event. None: no targets (requests).
        basket_power: a moment weighs its number of targets to this power.
    """
    owner = sequences.owners
    starts = np.ones(len(owner), dtype=bool)
    starts[1:] = (np.diff(sequences.occurred_at) != 0) | (np.diff(owner) != 0)
    row = np.cumsum(starts) - 1  # (E,) packed moment of each event
    moment_owner, moment_time = owner[starts], sequences.occurred_at[starts]
    moments = np.bincount(moment_owner, minlength=len(sequences))  # T of each user
    first_row = np.cumsum(moments) - moments

    gap_before = np.diff(moment_time, prepend=moment_time[:1])
    gap_before[first_row] = 0
    distance, gap = _relations(moment_time, moments, first_row)

    item = sequences.item_index.astype(np.int64)
    known = item > 0
    width = int(item.max(initial=0)) + 1
    keys, candidate = np.unique(owner[known] * width + item[known], return_inverse=True)
    distinct = np.bincount(keys // width, minlength=len(sequences))  # D of each user
    first_candidate = np.cumsum(distinct) - distinct
    first_cell = np.cumsum(moments * distinct) - moments * distinct
    event_cell = _cells(owner[known], row[known], candidate, first_row, first_candidate, first_cell, distinct)

    target_row, target_candidate = _targets(row[known], candidate, sequences.event_type[known] == target_type, moment_owner)
    target_owner = moment_owner[target_row]
    target_cell = _cells(target_owner, target_row, target_candidate, first_row, first_candidate, first_cell, distinct)
    target_count = np.bincount(target_row, minlength=len(moment_time))

    return Pack(
        item_index=torch.from_numpy(item),
        event_type=torch.from_numpy(sequences.event_type.astype(np.int64)),
        moment=torch.from_numpy(row),
        share=torch.from_numpy((1.0 / np.bincount(row))[row].astype(np.float32)),
        gap_before=torch.from_numpy(gap_bucket(gap_before)),
        distance=torch.from_numpy(distance),
        gap=torch.from_numpy(gap),
        candidates=torch.from_numpy(keys % width),
        event_cell=torch.from_numpy(event_cell),
        cell_type=torch.from_numpy(sequences.event_type[known].astype(np.int64)),
        target_cell=torch.from_numpy(target_cell),
        target_weight=torch.from_numpy((1.0 / np.maximum(target_count, 1))[target_row].astype(np.float32)),
        moment_weight=torch.from_numpy(np.where(target_count > 0, np.maximum(target_count, 1.0) ** basket_power, 0.0).astype(np.float32)),
        users=tuple(_slices(moments, distinct, np.bincount(target_owner, minlength=len(sequences)))),
    )


def _relations(moment_time: Int64, moments: Int64, first_row: Int64) -> tuple[Int64, Int64]:
    """Distance and gap buckets of each user's T x T square, flat."""
    distances, gaps = [], []
    for first, count in zip(first_row.tolist(), moments.tolist(), strict=True):
        steps, times = np.arange(count), moment_time[first : first + count]
        distances.append(np.clip(steps[:, None] - steps[None, :] + 1, 0, DISTANCE_BUCKETS - 1).ravel())
        gaps.append(gap_bucket(times[:, None] - times[None, :]).ravel())
    return np.concatenate(distances), np.concatenate(gaps)


def _cells(owner: Int64, row: Int64, candidate: Int64, first_row: Int64, first_candidate: Int64, first_cell: Int64, distinct: Int64) -> Int64:
    """Flat grid positions of (moment, candidate) pairs; `row` and `candidate` are packed positions."""
    return np.asarray(first_cell[owner] + (row - first_row[owner]) * distinct[owner] + candidate - first_candidate[owner])


def _targets(row: Int64, candidate: Int64, wanted: np.ndarray, moment_owner: Int64) -> tuple[Int64, Int64]:
    """(row, candidate) of every target: for each moment the distinct items of its user's next moment that holds a wanted event."""
    pairs = np.unique(np.stack([row[wanted], candidate[wanted]]), axis=1)
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


def _slices(moments: Int64, distinct: Int64, targets: Int64) -> Iterator[Slices]:
    starts = [np.cumsum([0, *sizes]).tolist() for sizes in (moments, moments * moments, distinct, moments * distinct, targets)]
    for user, (t, d) in enumerate(zip(moments.tolist(), distinct.tolist(), strict=True)):
        rows, pairs, candidates, grid, wanted = (slice(start[user], start[user + 1]) for start in starts)
        yield Slices(rows, pairs, candidates, grid, wanted, t, d)
