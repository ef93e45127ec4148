"""The softmax over the whole catalogue, for the rows that have targets, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from footfall.model.packs import Stack
from footfall.model.slopes import Slopes, grid

_ALIGNED = 8
"""Sizes of which 16-bit numbers are multiplied fast are multiples of this."""


class _Labels(NamedTuple):
    """Some rows of one stack that have targets: `rows` of the pack's labels from `first` on."""

    stack: Stack
    first: int
    rows: int


_Places = list[tuple[Tensor, Tensor]]
"""Of each part (n,) rows among its stack's, and (n, D) the candidates of their users."""


def exact(found: Slopes) -> None:
    """In the width of the inputs: three products of the size of the logits and one exponential."""
    items = found.table[:, :-1].contiguous()
    slopes = torch.zeros_like(found.table.T, memory_format=torch.contiguous_format)  # the faster way round for so narrow a product
    held = found.rows.new_empty(0)
    for parts in _chunks(found.pack.stacks, found.rows_at_once(found.rows.dtype)):
        at, places = _places(found, parts)
        rows = found.rows[at]
        if len(held) < len(rows):
            held = found.rows.new_empty(len(rows), len(found.table))
        logits = torch.mm(rows, found.table.T, out=held[: len(rows)])
        _add_bonuses(found, logits, parts, places)
        top = logits.amax(1, keepdim=True) if found.shift else None
        if top is not None:
            logits -= top
        mass = logits.exp_().sum(1, keepdim=True)
        found.log_mass[at] = mass.log() if top is None else mass.log() + top
        scale = found.pack.moment_weight[at, None] / mass
        _keep_bonuses(found, logits, scale, parts, places)
        slopes.addmm_((rows * scale).T, logits)
        found.d_rows[:, :-1].index_copy_(0, at, (logits @ items) * scale)
    found.d_table += slopes.T


def rounded(found: Slopes, kind: torch.dtype) -> None:
    """With logits and shares in a narrower type, which a GPU and newer CPUs multiply several times as fast; sums stay as wide as they were."""
    rows, table = _narrow(found.rows, found.table, kind)
    width = found.rows.shape[1] - 1
    slopes = found.table.new_zeros(table.shape[1], len(table))
    held = rows.new_empty(0)
    for parts in _chunks(found.pack.stacks, found.rows_at_once(kind)):
        at, places = _places(found, parts)
        mine = rows[at]
        if len(held) < len(mine):
            held = mine.new_empty(len(mine), len(table))
        logits = torch.mm(mine, table.T, out=held[: len(mine)])
        _add_bonuses(found, logits, parts, places)
        shares, mass, found.log_mass[at] = _shares(logits, shift=found.shift)
        scale = found.pack.moment_weight[at, None] / mass
        _keep_bonuses(found, shares, scale, parts, places)
        slopes += _product((mine * scale).to(kind).T, shares)
        found.d_rows[:, :-1].index_copy_(0, at, _product(shares, table)[:, :width] * scale)
    found.d_table += slopes[: found.table.shape[1], : len(found.table)].T


def _shares(logits: Tensor, *, shift: bool) -> tuple[Tensor, Tensor | float, Tensor]:
    """Each row's shares times its mass, that mass (n, 1), and the log of what its exponentials sum to (n, 1), in float32; `logits` is used up."""
    if logits.is_cuda:  # one kernel, which sums in float32
        top, best = logits.max(1, keepdim=True)
        shares = torch.softmax(logits, 1)
        return shares, 1.0, top.float() - shares.gather(1, best).float().log()
    top = logits.amax(1, keepdim=True) if shift else logits.new_zeros(len(logits), 1)
    shares = (logits.sub_(top) if shift else logits).exp_()
    mass = shares.unflatten(1, (_ALIGNED, -1)).sum(2).float().sum(1, keepdim=True)  # torch rounds a narrow sum: several are rounded less
    return shares, mass, mass.log() + top


def _places(found: Slopes, parts: Sequence[_Labels]) -> tuple[Tensor, _Places]:
    """(n,) rows of all parts, and where each part's bonuses stand."""
    places = []
    for part in parts:
        row = found.pack.label_row[part.first : part.first + part.rows] - part.stack.first_row
        places.append((row, found.candidates(part.stack)[row // part.stack.moments]))
    return found.pack.label_row[parts[0].first : parts[-1].first + parts[-1].rows], places


def _add_bonuses(found: Slopes, logits: Tensor, parts: Sequence[_Labels], places: _Places) -> None:
    """To the users' candidates; "no item" gets out of the way."""
    by_row = torch.arange(len(logits), device=logits.device)[:, None]
    for part, own, (row, place) in zip(parts, logits.split([part.rows for part in parts]), places, strict=True):
        bonus = grid(found.bonus, part.stack)[row].to(logits.dtype)
        if own.is_cuda:
            own.scatter_add_(1, place, bonus)
        else:  # where the same would copy all logits
            own.index_put_((by_row[: len(row)], place), bonus, accumulate=True)
    logits[:, 0] = -torch.inf


def _keep_bonuses(found: Slopes, shares: Tensor, scale: Tensor, parts: Sequence[_Labels], places: _Places) -> None:
    """Their slopes: the candidates' shares, each row's times its scale."""
    sizes = [part.rows for part in parts]
    for part, own, by, (row, place) in zip(parts, shares.split(sizes), scale.split(sizes), places, strict=True):
        grid(found.d_bonus, part.stack).index_copy_(0, row, own.gather(1, place) * by)


def _narrow(rows: Tensor, table: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both in a narrower type and in sizes that are multiplied fast; items that only fill up have no share.

    The bias, to which rounding would do most, stands in two columns: what is rounded, and what that leaves out.
    """
    columns, items = -(rows.shape[1] + 1) % _ALIGNED, -len(table) % _ALIGNED
    bias = table[:, -1:]
    left = bias - bias.to(kind).to(bias.dtype)
    rows = F.pad(torch.cat([rows, rows[:, -1:]], dim=1), (0, columns)).to(kind)
    table = F.pad(torch.cat([table, left], dim=1), (0, columns, 0, items)).to(kind)
    if items:
        table[-items:, -columns - 2] = torch.finfo(kind).min / 2
    return rows, table


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Product of two narrow matrices: in float32 on a GPU, as narrow as they are on a CPU, where torch has no other."""
    return torch.mm(left, right, out_dtype=torch.float32) if left.is_cuda else left @ right


def _chunks(stacks: Sequence[Stack], rows: int) -> Iterator[list[_Labels]]:
    """All labels, at most so many at a time and about equally many each time."""
    labels = sum(stack.labels for stack in stacks)
    rows = -(-labels // max(-(-labels // rows), 1))
    held: list[_Labels] = []
    room = rows
    for stack in stacks:
        first, end = stack.first_label, stack.first_label + stack.labels
        while first < end:
            count = min(end - first, room)
            held.append(_Labels(stack, first, count))
            first, room = first + count, room - count
            if not room:
                yield held
                held, room = [], rows
    if held:
        yield held
