"""The softmax over each user's own items, which hold every target, and one set of sampled ones that all share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from footfall.model.packs import Stack
from footfall.model.slopes import Slopes, grid


def sampled(found: Slopes, negatives: Tensor, log_expected: Tensor) -> None:
    """Own items exactly once each, and those of the (N,) negatives that are not among them, corrected by the log of how often each was expected.

    A user's newest moment has no target, so its row is never looked at: of T rows a user R = T - 1 count.
    """
    chosen = found.table[negatives]
    for parts in _chunks(found.pack.stacks, found.rows_at_once(found.rows.dtype)):
        rows = _take(found.rows, parts)
        logits = rows @ chosen.T - log_expected
        views = zip(parts, _views(rows, parts), _views(logits, parts), strict=True)
        own = [_own(found, part, mine, others, negatives) for part, mine, others in views]
        top = _exponentials(logits, parts, own, shift=found.shift)
        mass = logits.sum(1, keepdim=True) + torch.cat([mine.sum(2).reshape(-1, 1) for mine in own])
        _put(found.log_mass, parts, mass.log() if top is None else mass.log() + top)
        scale = _take(found.pack.moment_weight[:, None], parts) / mass
        scaled, slopes = rows * scale, logits @ chosen
        found.d_table.index_add_(0, negatives, logits.T @ scaled)
        for part, mine, by, slope, row in zip(parts, own, _views(scale, parts), _views(slopes, parts), _views(scaled, parts), strict=True):
            items = found.candidates(part)
            slope.add_(mine @ found.table[items])
            found.d_table.index_add_(0, items.reshape(-1), (mine.transpose(1, 2) @ row).flatten(0, 1))
            _bonuses(found.d_bonus, part).copy_(mine * by)
        _put(found.d_rows, parts, slopes * scale)


def _own(found: Slopes, part: Stack, rows: Tensor, logits: Tensor, negatives: Tensor) -> Tensor:
    """(B, R, D) logits of the users' own items; accidental hits leave `logits` (B, R, N)."""
    items = found.candidates(part)
    place = torch.searchsorted(items, negatives.expand(part.users, -1).contiguous()).clamp(max=part.distinct - 1)
    logits.masked_fill_((items.gather(1, place) == negatives)[:, None], -torch.inf)
    mine = rows @ found.table[items].transpose(1, 2) + _bonuses(found.bonus, part)
    return mine.masked_fill_((items == 0)[:, None], -torch.inf)


def _bonuses(flat: Tensor, part: Stack) -> Tensor:
    """(B, R, D) view of a stack's cells."""
    return grid(flat, part).view(part.users, part.moments, part.distinct)[:, :-1]


def _exponentials(logits: Tensor, parts: Sequence[Stack], own: Sequence[Tensor], *, shift: bool) -> Tensor | None:
    """Exponentials of both in place; (rows, 1) what was taken off before, None for nothing."""
    top = None
    if shift:
        top = torch.maximum(logits.amax(1, keepdim=True), torch.cat([mine.amax(2).reshape(-1, 1) for mine in own]))
        logits -= top
        for mine, off in zip(own, _views(top, parts), strict=True):
            mine.sub_(off)
    logits.exp_()
    for mine in own:
        mine.exp_()
    return top


def _chunks(stacks: Sequence[Stack], rows_at_once: int) -> Iterator[list[Stack]]:
    """Stacks, or parts of them, of at most so many rows together; a longer user stands alone."""
    held: list[Stack] = []
    room = rows_at_once
    for stack in stacks:
        first, rows = 0, stack.moments - 1
        while rows and first < stack.users:
            users = min(stack.users - first, room // rows)
            if not users and held:
                yield held
                held, room = [], rows_at_once
                continue
            held.append(stack.part(first, max(users, 1)))
            first += max(users, 1)
            room -= max(users, 1) * rows
    if held:
        yield held


def _take(flat: Tensor, parts: Sequence[Stack]) -> Tensor:
    """(rows, columns) of some stacks, without each user's newest moment."""
    return torch.cat([flat[part.rows].view(part.users, part.moments, -1)[:, :-1].flatten(0, 1) for part in parts])


def _put(flat: Tensor, parts: Sequence[Stack], values: Tensor) -> None:
    """The opposite of `_take`."""
    for part, view in zip(parts, _views(values, parts), strict=True):
        flat[part.rows].unflatten(0, (part.users, part.moments))[:, :-1] = view


def _views(taken: Tensor, parts: Sequence[Stack]) -> list[Tensor]:
    """(B, R, columns) of each stack in what was taken."""
    cut = taken.split([part.users * (part.moments - 1) for part in parts])
    return [piece.view(part.users, part.moments - 1, -1) for piece, part in zip(cut, parts, strict=True)]


class NegativeSampler:
    """Draws one shared set of negatives a step, half by popularity and half uniformly, with replacement."""

    def __init__(self, counts: Tensor, negatives: int, generator: torch.Generator) -> None:
        """`counts` (V + 1,) events of each item; `counts[0]` is ignored."""
        weight = counts.double().clone()
        weight[0] = 0.0
        uniform = torch.ones_like(weight)
        uniform[0] = 0.0
        self._share = 0.5 * weight / weight.sum().clamp(min=1e-9) + 0.5 * uniform / uniform.sum()
        self._cumulated = torch.cumsum(self._share, 0)
        self._negatives = negatives
        self.generator = generator

    def draw(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(N,) item indices and (N,) log of each one's expected number of draws."""
        point = torch.rand(self._negatives, generator=self.generator, dtype=torch.float64) * self._cumulated[-1]
        items = torch.searchsorted(self._cumulated, point, right=True).clamp(1, len(self._share) - 1)
        log_expected = torch.log(self._share[items] * self._negatives).float()
        return items.to(device), log_expected.to(device)
