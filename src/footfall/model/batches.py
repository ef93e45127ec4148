"""Packing: who goes into one step together, and how their prepared histories become a `Pack`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from footfall.core.sequences import Int64, Sequences
from footfall.model.packs import DISTANCE_BUCKETS, Pack, Stack
from footfall.model.prepared import Prepared, Runs, gap_bucket, prepare


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


def pack(sequences: Sequences, target_type: int | None = None, basket_power: float = 0.0) -> Pack:
    """Pack users that each have at least one event; see `prepared.prepare` for the arguments."""
    return pack_users(prepare(sequences, target_type, basket_power), np.arange(len(sequences)))


def pack_users(prepared: Prepared, users: Int64, *, few_stacks: bool | None = None) -> Pack:
    """Pack the users at these positions, where they lie.

    A stack holds users with equally many moments, so that no position is computed which is not needed. With `few_stacks` users of similar lengths
    share one, and the shorter have empty moments in front: a GPU, where that is the default, prefers few large rectangles to many small ones.
    """
    device = prepared.device
    moments = prepared.moments.lengths[users]
    room = round_up(moments) if (device.type == "cuda" if few_stacks is None else few_stacks) else moments
    order = np.argsort(room, kind="stable")
    users, moments, room = users[order], moments[order], room[order]
    places = _Places(moments, room, prepared.candidates.lengths[users], prepared.labels.lengths[users])
    runs = (prepared.events, prepared.touches, prepared.moments, prepared.candidates, prepared.targets, prepared.labels)
    facts = np.stack([*(column for one in runs for column in _cut(one, users)), places.row, places.candidate, places.cell, places.width])
    numbers = iter(torch.from_numpy(facts).to(device, non_blocking=True))
    events, touches, steps, distinct, targets, labels = (_Taken(one, users, next(numbers), next(numbers)) for one in runs)
    row, candidate, cell, width = numbers

    rows = places.stacks[-1].rows.stop
    steps_row = row[steps.owner] + steps.within()
    time, gap_before, weight = (
        torch.zeros(rows, dtype=steps[name].dtype, device=device).index_copy_(0, steps_row, steps[name]) for name in ("time", "gap_before", "weight")
    )
    item = torch.zeros(places.stacks[-1].candidates.stop, dtype=torch.int64, device=device)
    distance, gap = _relations(time, room - moments, places.stacks)
    return Pack(
        order=torch.from_numpy(order),
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
    )


def round_up(moments: Int64) -> Int64:
    """The next number of moments of which there are stacks on a GPU: two a doubling, from 4 on."""
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

    def within(self) -> Tensor:
        """(N,) number of each value in its own run."""
        return self._place - (self._lengths.cumsum(0) - self._lengths)[self.owner]


class _Places:
    """Where everything of each user stands, from (U,) moments, moments of its stack (ascending), distinct items and labels.

    What a user lacks to the stack's size stands in front, so that newest moments and candidates end together, and candidates are ascending.
    """

    def __init__(self, moments: Int64, room: Int64, distinct: Int64, labels: Int64) -> None:
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


def _relations(time: Tensor, empty: Int64, stacks: tuple[Stack, ...]) -> tuple[Tensor, Tensor]:
    """Distance and gap buckets of each user's T x T square, flat; one of the (U,) empty moments sees itself alone, and nobody else sees it."""
    lacking = torch.from_numpy(empty).to(time.device, non_blocking=True)[:, None] if empty.any() else None
    distances, gaps, first = [], [], 0
    for stack in stacks:
        steps, times = torch.arange(stack.moments, device=time.device), time[stack.rows].view(stack.users, stack.moments)
        distance = (steps[:, None] - steps + 1).clamp(0, DISTANCE_BUCKETS - 1)
        squares = distance.expand(stack.users, -1, -1)
        if lacking is not None:
            hidden = (steps < lacking[first : first + stack.users])[:, None] & (distance != 1)
            squares = squares.masked_fill(hidden, 0)
        distances.append(squares.reshape(-1))
        gaps.append((times[:, :, None] - times[:, None]).reshape(-1))
        first += stack.users
    return torch.cat(distances), gap_bucket(torch.cat(gaps))
