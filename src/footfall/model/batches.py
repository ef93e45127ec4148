"""Packing: who goes into one step together, and how their histories become a `Pack`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from footfall.core.sequences import Int64, Sequences
from footfall.model.packs import DISTANCE_BUCKETS, GAP_BUCKETS, Pack, Stack

HOUR_US = 3_600_000_000
_GAP_STEPS = 4  # time-gap buckets per doubling: a week is told from ten days; 64 buckets reach 6 years


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
    order = np.argsort(np.bincount(owner[_starts(sequences, owner)], minlength=len(sequences)), kind="stable")
    sequences = sequences.take(order)
    owner = sequences.owners
    starts = _starts(sequences, owner)
    row = np.cumsum(starts) - 1  # (E,) packed moment of each event
    moment_owner, moment_time = owner[starts], sequences.occurred_at[starts]

    item = sequences.item_index.astype(np.int64)
    known = item > 0
    width = int(item.max(initial=0)) + 1
    keys, candidate = np.unique(owner[known] * width + item[known], return_inverse=True)  # (user, item), ascending
    distinct = np.bincount(keys // width, minlength=len(sequences))
    places = _Places(np.bincount(moment_owner, minlength=len(sequences)), distinct)

    gap_before = np.diff(moment_time, prepend=moment_time[:1])
    gap_before[places.first_row] = 0
    distance, gap = _relations(moment_time, places.stacks)
    candidates = np.zeros(places.stacks[-1].candidates.stop, np.int64)
    candidates[places.candidate(keys // width, np.arange(len(keys)))] = keys % width

    target_row, target_key = _targets(row[known], candidate, sequences.event_type[known] == target_type, moment_owner)
    target_count = np.bincount(target_row, minlength=len(moment_time))
    weight = np.where(target_count > 0, np.maximum(target_count, 1.0) ** basket_power, 0.0)
    arrays = {
        "order": order,
        "item_index": item,
        "event_type": sequences.event_type.astype(np.int64),
        "moment": row,
        "share": (1.0 / np.bincount(row))[row].astype(np.float32),
        "gap_before": gap_bucket(gap_before),
        "distance": distance,
        "gap": gap,
        "candidates": candidates,
        "event_cell": places.cell(owner[known], row[known], candidate),
        "cell_type": sequences.event_type[known].astype(np.int64),
        "target_row": target_row,
        "target_item": keys[target_key] % width,
        "target_cell": places.cell(moment_owner[target_row], target_row, target_key),
        "target_weight": (1.0 / np.maximum(target_count, 1))[target_row].astype(np.float32),
        "moment_weight": weight.astype(np.float32),
    }
    return Pack(**{name: torch.from_numpy(array) for name, array in arrays.items()}, stacks=places.stacks)


class _Places:
    """Where everything of each user stands, from (U,) moments (ascending) and distinct items."""

    def __init__(self, moments: Int64, distinct: Int64) -> None:
        lengths, first_user, users = np.unique(moments, return_index=True, return_counts=True)
        widest = np.maximum(np.maximum.reduceat(distinct, first_user), 1)
        sizes = np.stack([users * lengths, users * lengths**2, users * widest, users * lengths * widest])
        starts = np.cumsum(sizes, axis=1) - sizes
        columns = zip(users.tolist(), lengths.tolist(), widest.tolist(), *starts.tolist(), strict=True)
        self.stacks = tuple(Stack(*column) for column in columns)
        stack = np.repeat(np.arange(len(users)), users)
        within = np.arange(len(moments)) - first_user[stack]
        self._widest = widest[stack]
        self.first_row = starts[0][stack] + within * moments
        # narrower users stand to the right, so that all candidates of a user are in ascending order
        shift = self._widest - distinct - (np.cumsum(distinct) - distinct)
        self._candidate = starts[2][stack] + within * self._widest + shift
        self._cell = starts[3][stack] + within * moments * self._widest + shift

    def candidate(self, user: Int64, key: Int64) -> Int64:
        """Flat position among the candidates of (user, item) keys, numbered over all users."""
        return np.asarray(self._candidate[user] + key)

    def cell(self, user: Int64, row: Int64, key: Int64) -> Int64:
        """Flat grid position of a packed row and a key."""
        return np.asarray(self._cell[user] + (row - self.first_row[user]) * self._widest[user] + key)


def _starts(sequences: Sequences, owner: Int64) -> np.ndarray:
    """(E,) whether an event begins a moment."""
    starts = np.ones(len(owner), dtype=bool)
    starts[1:] = (np.diff(sequences.occurred_at) != 0) | (np.diff(owner) != 0)
    return starts


def _relations(moment_time: Int64, stacks: tuple[Stack, ...]) -> tuple[Int64, Int64]:
    """Distance and gap buckets of each user's T x T square, flat."""
    distances, gaps = [], []
    for stack in stacks:
        steps, times = np.arange(stack.moments), moment_time[stack.rows].reshape(stack.users, stack.moments)
        distance = np.clip(steps[:, None] - steps[None, :] + 1, 0, DISTANCE_BUCKETS - 1)
        distances.append(np.broadcast_to(distance, (stack.users, *distance.shape)).ravel())
        gaps.append(gap_bucket(times[:, :, None] - times[:, None, :]).ravel())
    return np.concatenate(distances), np.concatenate(gaps)


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
