"""The sequence model for one user at a time, in numpy: what it has read is a state, and one more event costs one more row.

The network is causal, so what a moment said to the attention of later ones (its keys and values) never changes: it is kept, and new moments alone are
computed. The same numbers as `model.network` within float32 rounding; a test holds the two together. Without torch a small network is several times
as quick for one user, because most of such a request is the dispatch of operations, and a process that only serves need not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from footfall.core.sequence_model import DISTANCE_BUCKETS, GAP_BOUNDS_US, check_weights
from footfall.core.sequences import Int8, Int32, Int64, Sequences
from footfall.core.signals import unknown_signals
from footfall.core.streaming_block import Arrays, Block, Float32, normed, on_cache_lines, together


@dataclass(frozen=True)
class Reading:
    """What has been read of one user: E events in T moments.

    Attributes:
        times: (T,) microseconds, ascending.
        row: (E,) moment of each event.
        events: its events, oldest first.
        keys, values: a (T, dim) array a block.
        newest: (dim,) normed state after the newest moment; None before there is one.
    """

    times: Int64
    row: Int64
    events: Sequences
    keys: tuple[Float32, ...]
    values: tuple[Float32, ...]
    newest: Float32 | None

    @property
    def bytes(self) -> int:
        """About what it takes to remember it."""
        return sum(array.nbytes for array in (*self.keys, *self.values)) + 40 * len(self.row)

    def until(self, moments: int) -> Reading:
        """Its first moments alone, fewer than there are: nothing was asked of them, so there is no state."""
        events = int(np.searchsorted(self.row, moments))
        keys, values = (tuple(array[:moments] for array in arrays) for arrays in (self.keys, self.values))
        return Reading(self.times[:moments], self.row[:events], _slice(self.events, 0, events), keys, values, None)


class _Begun(NamedTuple):
    """What is to be read of one user: `events` after `before`, at `times` in all, `row` their moment each; (r, dim) and (H, r, T) for the blocks."""

    before: Reading
    events: Sequences
    times: Int64
    row: Int64
    vectors: Float32
    bias: Float32


class StreamingModel:
    """Trained weights, ready for one user at a time. Holds no state between calls.

    Args:
        config: what config.json holds.
        weights: parameter name -> array, as in model.safetensors.

    Raises:
        ValueError: a foreign configuration, or weights that do not fit it.
    """

    def __init__(self, config: Mapping[str, Any], weights: Arrays) -> None:
        """Turn the weights round."""
        check_weights(config, weights)
        self.items, self.dim, self.max_events = int(config["items"]), int(config["dim"]), int(config["max_events"])
        self._heads, blocks = int(config["heads"]), int(config["blocks"])
        self._table = on_cache_lines(weights["item.weight"])
        self._bias = np.asarray(weights["item_bias"], np.float32)
        self._event_type, self._gap_before = weights["event_type.weight"], weights["gap_before.weight"]
        self._query, self._duration = weights.get("signals.query.weight"), weights.get("signals.duration.weight")
        self._queries, self._durations = int(config.get("queries") or 0), int(config.get("durations") or 0)
        self._distance, self._gap = weights["distance.weight"], weights["gap.weight"]
        self._head_distance, self._head_gap = (np.ascontiguousarray(table[:, : self._heads].T) for table in (self._distance, self._gap))
        self._blocks = [Block.of(weights, f"layers.{number}.", self._heads) for number in range(blocks)]
        self._norm = weights["norm.weight"]
        self._repeat_type, self._repeat_weight = weights["repeat_type"], weights["repeat_weight"]
        self._repeat_state, self._repeat_item = np.ascontiguousarray(weights["repeat_state.weight"].T), weights["repeat_item.weight"]

    def read(self, events: Sequences, before: Reading | None = None) -> Reading:
        """One user's events, after what has been `read` already.

        Args:
            events: of one user, oldest first, none older than the newest one read; with those read no more than `max_events`.
            before: None for nothing.

        Raises:
            ValueError: an item_index or event type that the model does not know.
        """
        if not len(events.item_index):
            return _nothing(events, self.dim, len(self._blocks)) if before is None else before
        return self.read_together([(events, before)])[0]

    def read_together(self, histories: Sequence[tuple[Sequences, Reading | None]]) -> list[Reading]:
        """As `read`, of some users, each with at least one event to read: far less than as many calls where the events are few."""
        begun = [self._begin(events, before) for events, before in histories]
        x, bias = together([one.vectors for one in begun]), [one.bias for one in begun]
        keys, values = [], []
        for number, block in enumerate(self._blocks):
            if block is self._blocks[-1]:  # nobody asks for more of it than the newest moment's state
                bias = [told[:, -1:] for told in bias]
            x, key, value = block(x, bias, [one.before.keys[number] for one in begun], [one.before.values[number] for one in begun])
            keys.append(key)
            values.append(value)
        newest = normed(x) * self._norm
        kept = zip(zip(*keys, strict=True), zip(*values, strict=True), strict=True)
        return [
            Reading(one.times, one.row, _joined(one.before.events, one.events), *arrays, state)
            for one, arrays, state in zip(begun, kept, newest, strict=True)
        ]

    def scores(self, reading: Reading) -> Float32:
        """(V,) logits of what the user buys next; column j is item_index j + 1. All 0 where nothing has been read."""
        if reading.newest is None:
            return np.zeros(self.items, np.float32)
        logits: Float32 = self._table @ reading.newest
        logits += self._bias
        items, bonus = self._repeats(reading)
        logits[items] += bonus
        return logits[1:]

    def scores_together(self, readings: Sequence[Reading]) -> Float32:
        """(U, V) as `scores`, of some users who have read something."""
        logits: Float32 = np.stack([one.newest for one in readings if one.newest is not None]) @ self._table.T
        logits += self._bias
        for row, one in zip(logits, readings, strict=True):
            items, bonus = self._repeats(one)
            row[items] += bonus
        return logits[:, 1:]

    def _begin(self, events: Sequences, before: Reading | None) -> _Begun:
        """What the blocks need of one user's events."""
        self._check(events)
        if before is not None and before.newest is not None and events.occurred_at[0] == before.times[-1]:
            first = int(np.searchsorted(before.row, len(before.times) - 1))
            events = _joined(_slice(before.events, first, len(before.row)), events)
            before = before.until(len(before.times) - 1)
        if before is None:
            before = _nothing(events, self.dim, len(self._blocks))
        begins = np.ones(len(events.item_index), np.bool_)
        np.not_equal(events.occurred_at[1:], events.occurred_at[:-1], out=begins[1:])
        starts = np.flatnonzero(begins)
        times = np.concatenate([before.times, events.occurred_at[starts]])
        earlier = times[max(len(before.times) - 1, 0) : -1]
        gaps = times[len(before.times) :] - (earlier if len(before.times) else np.concatenate([times[:1], earlier]))
        vectors = self._vectors(events)
        if len(starts) < len(vectors):
            vectors = np.add.reduceat(vectors, starts, axis=0)
            vectors /= np.diff(starts, append=len(events.item_index))[:, None].astype(np.float32)
        vectors += self._gap_before[np.searchsorted(GAP_BOUNDS_US, gaps)]
        rows = np.concatenate([before.row, np.cumsum(begins) + (len(before.times) - 1)])
        return _Begun(before, events, times, rows, vectors, self._relations(times, len(starts)))

    def _check(self, events: Sequences) -> None:
        highest, types = int(events.item_index.max(initial=0)), int(events.event_type.max(initial=0))
        if highest > self.items or types >= len(self._event_type) or int(events.item_index.min(initial=0)) < 0:
            raise ValueError(f"item_index up to {highest} and event type up to {types}; the model knows {self.items} and {len(self._event_type)}")
        if problem := unknown_signals(events, self._queries, self._durations):
            raise ValueError(problem)

    def _vectors(self, events: Sequences) -> Float32:
        """(E, dim) of each event."""
        x: Float32 = self._table[events.item_index] + self._event_type[events.event_type]
        if self._query is not None and events.query_index is not None:
            x += self._query[events.query_index]
        if self._duration is not None and events.duration is not None:
            x += self._duration[events.duration]
        return x

    def _relations(self, times: Int64, rows: int) -> Float32:
        """(H, R, T) what the tables over time say of the newest R moments looking at all T; -inf where they must not."""
        moments = len(times)
        told = np.take(self._head_gap, np.searchsorted(GAP_BOUNDS_US, times[moments - rows :, None] - times), axis=1)
        # by distance, every row is the one after it moved by a moment: all are windows on one line, the farthest first and what is to come last
        line = np.full((self._heads, moments + rows - 1), -np.inf, np.float32)
        line[:, :moments] = self._head_distance[:, np.minimum(np.arange(moments, 0, -1), DISTANCE_BUCKETS - 1)]
        head, step = line.strides
        told += np.ndarray(told.shape, line.dtype, line, (rows - 1) * step, (head, -step, step))
        return told

    def _repeats(self, reading: Reading) -> tuple[Int32, Float32]:
        """Own items, ascending, and their bonus: log(1 + sum over channels of weight x decayed count), see `SequenceNetwork._repeat`."""
        known = reading.events.item_index > 0
        moments = len(reading.times)
        cells, of_event = np.unique(reading.row[known] * (self.items + 1) + reading.events.item_index[known], return_inverse=True)
        count = np.maximum(np.bincount(of_event, self._repeat_type[reading.events.event_type[known]], len(cells)), 0).astype(np.float32)
        row, item = cells // (self.items + 1), cells % (self.items + 1)
        ahead = np.minimum(moments - row, DISTANCE_BUCKETS - 1)
        gap = np.searchsorted(GAP_BOUNDS_US, reading.times[-1] - reading.times[row])
        weights = self._distance[ahead, self._heads :] + self._gap[gap, self._heads :] + self._repeat_item[item]  # (C, K) logarithms
        weights += reading.newest @ self._repeat_state + self._repeat_weight
        each = np.exp(weights).sum(axis=1) * count
        items, of_cell = np.unique(item, return_inverse=True)
        return items.astype(np.int32), np.log1p(np.bincount(of_cell, each, len(items))).astype(np.float32)


def _nothing(like: Sequences, dim: int, blocks: int) -> Reading:
    none = (np.zeros((0, dim), np.float32),) * blocks
    empty = np.zeros(0, np.int64)
    return Reading(empty, empty, _slice(like, 0, 0), none, none, None)


def one_of(sequences: Sequences, user: int, first: int = 0) -> Sequences:
    """The events of one user, from number `first` on; views, not copies."""
    return _slice(sequences, int(sequences.offsets[user]) + first, int(sequences.offsets[user + 1]))


def _slice(events: Sequences, first: int, end: int) -> Sequences:
    """Events from number `first` to before `end`, as those of one user."""
    some = slice(first, end)
    return Sequences(
        events.item_index[some],
        events.event_type[some],
        events.occurred_at[some],
        np.array([0, end - first], np.int64),
        None if events.query_index is None else events.query_index[some],
        None if events.duration is None else events.duration[some],
    )


def _joined(older: Sequences, newer: Sequences) -> Sequences:
    """Events of one user, one after the other."""
    query: Int32 | None = None
    duration: Int8 | None = None
    if older.query_index is not None and newer.query_index is not None:
        query = np.concatenate([older.query_index, newer.query_index])
    if older.duration is not None and newer.duration is not None:
        duration = np.concatenate([older.duration, newer.duration])
    return Sequences(
        np.concatenate([older.item_index, newer.item_index]),
        np.concatenate([older.event_type, newer.event_type]),
        np.concatenate([older.occurred_at, newer.occurred_at]),
        np.array([0, older.offsets[-1] + newer.offsets[-1]], np.int64),
        query,
        duration,
    )
