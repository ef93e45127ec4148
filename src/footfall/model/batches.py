"""Packing: who goes into one step together, and how their prepared histories become a `Pack`."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from footfall.core.sequence_model import DISTANCE_BUCKETS
from footfall.core.sequences import Int64, Sequences
from footfall.model.packs import Pack, Stack
from footfall.model.prepared import Prepared, Runs, gap_bucket, prepare

BIN = 64
"""Moments of a bin, at least."""


def chop(sequences: Sequences, events: int) -> Sequences:
    """Windows of at most `events` events, so that all events of all users are read: the newest first cut from the end, as a request is.

    Returns one "user" a window; a user's oldest window holds what is left over. Users without events are dropped.
    """
    bounds: list[int] = []
    for start, end in zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True):
        bounds.extend(sorted(range(end, start, -events)))
    return replace(sequences, offsets=np.array([0, *bounds], dtype=np.int64))


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


class Layout(enum.Enum):
    """Who shares a rectangle.

    A CPU is best served by many small rectangles without a position that is not needed, a GPU by few large ones.
    """

    EXACT = enum.auto()
    """Users with equally many moments."""
    SIMILAR = enum.auto()
    """Users with similarly many; the shorter have empty moments in front."""
    BINS = enum.auto()
    """All: each "user" of the only stack is a bin of several users, who do not see each other. For training by the exact softmax alone."""


def pack(sequences: Sequences, target_type: int | None = None, basket_power: float = 0.0) -> Pack:
    """Pack users that each have at least one event; see `prepared.prepare` for the arguments."""
    return pack_users(prepare(sequences, target_type, basket_power), np.arange(len(sequences)), Layout.EXACT)


def pack_users(prepared: Prepared, users: Int64, layout: Layout) -> Pack:
    """Pack the users at these positions, where they lie."""
    device = prepared.device
    places = _Places(prepared, users, layout)
    users = users[places.order]
    runs = (prepared.events, prepared.touches, prepared.moments, prepared.candidates, prepared.targets, prepared.labels)
    facts = np.stack([*(column for one in runs for column in _cut(one, users)), places.row, places.candidate, places.cell, places.width])
    numbers = iter(torch.from_numpy(facts).to(device, non_blocking=True))
    events, touches, steps, distinct, targets, labels = (_Taken(one, users, next(numbers), next(numbers)) for one in runs)
    row, candidate, cell, width = numbers

    rows, at = places.stacks[-1].rows.stop, row[steps.owner] + steps.within()
    time, gap_before, weight = (
        torch.zeros(rows, dtype=steps[name].dtype, device=device).index_copy_(0, at, steps[name]) for name in ("time", "gap_before", "weight")
    )
    owner = None if layout is Layout.EXACT else torch.arange(-rows, 0, device=device).index_copy_(0, at, steps.owner)
    distance, gap = _relations(time, owner, places.stacks)
    item = torch.zeros(places.stacks[-1].candidates.stop, dtype=torch.int64, device=device)
    return Pack(
        order=torch.from_numpy(places.order),
        item_index=events["item"].long(),
        event_type=events["event_type"].long(),
        moment=row[events.owner] + events["row"],
        share=events["share"],
        gap_before=gap_before,
        distance=distance,
        gap=gap,
        candidates=item.index_copy_(0, candidate[distinct.owner] + distinct.within(), distinct["item"]),
        event_cell=cell[touches.owner] + touches["row"] * width[touches.owner] + touches["key"],
        cell_type=touches["event_type"].long(),
        target_row=row[targets.owner] + targets["row"],
        target_item=targets["item"],
        target_cell=cell[targets.owner] + targets["row"] * width[targets.owner] + targets["key"],
        target_weight=targets["weight"],
        label_row=row[labels.owner] + labels["row"],
        moment_weight=weight,
        stacks=places.stacks,
        query=events.get("query"),
        duration=events.get("duration"),
    )


def round_up(moments: Int64) -> Int64:
    """The next number of moments of which there are stacks in `Layout.SIMILAR`: two a doubling, from 4 on."""
    power = 2 ** np.ceil(np.log2(np.maximum(moments, 4))).astype(np.int64)
    return np.where(moments <= power * 3 // 4, np.maximum(power * 3 // 4, 4), power)


def _cut(runs: Runs, users: Int64) -> tuple[Int64, Int64]:
    """(U,) lengths of these users' runs, and how much further back each stands in what is taken than in `runs`."""
    lengths = runs.lengths[users]
    return lengths, runs.offsets[users] - (np.cumsum(lengths) - lengths)


class _Taken:
    """Some users' runs, back to back: `owner` (N,) whose each value is, in the order of the users."""

    def __init__(self, runs: Runs, users: Int64, lengths: Tensor, shift: Tensor) -> None:
        self._runs, self._shift = runs, shift
        self.owner = torch.repeat_interleave(lengths, output_size=int(runs.lengths[users].sum()))
        self._place = torch.arange(len(self.owner), device=lengths.device)
        self._index = self._place + shift[self.owner]
        self._lengths = lengths

    def __getitem__(self, name: str) -> Tensor:
        return self._runs.columns[name][self._index]

    def get(self, name: str) -> Tensor | None:
        """A column as indices; None where the histories do not have it."""
        return self[name].long() if name in self._runs.columns else None

    def within(self) -> Tensor:
        """(N,) number of each value in its own run."""
        return self._place - (self._lengths.cumsum(0) - self._lengths)[self.owner]


class _Places:
    """Where everything of each user stands, in the order in which they are packed.

    In a stack of users what one lacks to its size stands in front, so that newest moments and candidates end together. Candidates are ascending.

    Attributes:
        order: (U,) which of the given users each packed one is.
        row, candidate, cell: (U,) flat position of the first moment, candidate and grid cell.
        width: (U,) grid cells a moment.
    """

    def __init__(self, prepared: Prepared, users: Int64, layout: Layout) -> None:
        moments, distinct, labels = (runs.lengths[users] for runs in (prepared.moments, prepared.candidates, prepared.labels))
        if layout is Layout.BINS:
            self.order = np.arange(len(users))
            self._in_bins(moments, distinct, int(labels.sum()))
        else:
            room = round_up(moments) if layout is Layout.SIMILAR else moments
            self.order = np.argsort(room, kind="stable")
            self._in_stacks(*(numbers[self.order] for numbers in (moments, room, distinct, labels)))

    def _in_stacks(self, moments: Int64, room: Int64, distinct: Int64, labels: Int64) -> None:
        lengths, first_user, users = np.unique(room, return_index=True, return_counts=True)
        widest = np.maximum(np.maximum.reduceat(distinct, first_user), 1)
        sizes = np.stack([users * lengths, users * lengths**2, users * widest, users * lengths * widest, np.add.reduceat(labels, first_user)])
        starts = np.cumsum(sizes, axis=1) - sizes
        columns = zip(users.tolist(), lengths.tolist(), widest.tolist(), *starts.tolist(), sizes[-1].tolist(), strict=True)
        self.stacks = tuple(Stack(*column) for column in columns)
        stack = np.repeat(np.arange(len(users)), users)
        within = np.arange(len(moments)) - first_user[stack]
        self.width = widest[stack]
        self.row = starts[0][stack] + within * room + room - moments
        self.candidate = starts[2][stack] + within * self.width + self.width - distinct
        self.cell = starts[3][stack] + (within * room + room - moments) * self.width + self.width - distinct

    def _in_bins(self, moments: Int64, distinct: Int64, labels: int) -> None:
        length = max(BIN, int(moments.max(initial=0)))
        bins, row, candidate = fill(moments, distinct, length)
        used, width = int(bins[-1]) + 1, max(int((candidate + distinct).max()), 1)
        self.stacks = (Stack(used, length, width, 0, 0, 0, 0, 0, labels),)
        self.width = np.full(len(moments), width)
        self.row = bins * length + row
        self.candidate = bins * width + candidate
        self.cell = self.row * width + candidate


def fill(moments: Int64, distinct: Int64, length: int) -> tuple[Int64, Int64, Int64]:
    """(U,) each: the bin of each user, and how many moments and candidates stand before it there; a bin is closed when the next one does not fit."""
    bins, rows, before = (np.empty(len(moments), np.int64) for _ in range(3))
    number = row = candidate = 0
    for user, (steps, items) in enumerate(zip(moments.tolist(), distinct.tolist(), strict=True)):
        if row + steps > length:
            number, row, candidate = number + 1, 0, 0
        bins[user], rows[user], before[user] = number, row, candidate
        row, candidate = row + steps, candidate + items
    return bins, rows, before


def _relations(time: Tensor, owner: Tensor | None, stacks: tuple[Stack, ...]) -> tuple[Tensor, Tensor]:
    """Distance and gap buckets of each T x T square, flat.

    Args:
        time: (M,) of each moment.
        owner: (M,) whose it is, where several users share a square or moments are empty; an empty one is its own owner's only one.
        stacks: where the squares lie.
    """
    distances, gaps = [], []
    for stack in stacks:
        steps, times = torch.arange(stack.moments, device=time.device), time[stack.rows].view(stack.users, stack.moments)
        squares = (steps[:, None] - steps + 1).clamp(0, DISTANCE_BUCKETS - 1).expand(stack.users, -1, -1)
        if owner is not None:
            owners = owner[stack.rows].view(stack.users, stack.moments)
            squares = squares * (owners[:, :, None] == owners[:, None])
        distances.append(squares.reshape(-1))
        gaps.append((times[:, :, None] - times[:, None]).reshape(-1))
    return torch.cat(distances), gap_bucket(torch.cat(gaps))
