"""Softmax losses over the catalogue, a hundred rows at a time, so that no (moments x items) tensor of a whole step ever exists.

The gradient of a softmax is known while its logits are at hand, so one pass computes loss and gradients: three products of the size of the logits,
which is the least there can be, and one exponential. The bias is one more column of the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from footfall.model.packs import Pack, Stack

ROWS = 128
"""Rows of logits that are held at once: they stay in the processor's cache for catalogues of ten thousand items."""
_SAFE = 80.0
"""Logits below this need no shift before the exponential of a float32."""


def softmax_loss(
    states: Tensor, items: Tensor, bias: Tensor, bonuses: Sequence[Tensor], pack: Pack, drawn: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Weighted mean over moments of the cross-entropy against each one's (equally weighted) targets.

    Args:
        states: (M, dim).
        items: (V + 1, dim); row 0, "no item", takes no part.
        bias: (V + 1,).
        bonuses: a (B, T, D) tensor a stack, added to the logits of the users' candidates.
        pack: targets and candidates.
        drawn: None for the exact softmax; else (N,) sampled item indices and (N,) log of how often each was expected to be drawn (logQ correction).
            The softmax then runs over the user's own items, which hold every target, and the sampled ones that are not among them.
    """
    flat = torch.cat([bonus.reshape(-1) for bonus in bonuses])
    loss: Tensor = _Softmax.apply(states, items, bias, flat, pack, drawn)
    return loss


class _Softmax(torch.autograd.Function):
    """Cross-entropy of each moment against its targets; see `softmax_loss`."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, items: Tensor, bias: Tensor, bonus: Tensor, pack: Pack, drawn: tuple[Tensor, Tensor] | None) -> Tensor:
        """Loss and, at once, all gradients."""
        rows, table = torch.cat([states, states.new_ones(len(states), 1)], dim=1), torch.cat([items, bias[:, None]], dim=1)
        largest = rows.norm(dim=1).max() * table.norm(dim=1).max() + bonus.max()
        made = _Gradients(rows, table, bonus, pack, shift=bool(largest > _SAFE))
        if drawn is None:
            made.exact()
        else:
            made.sampled(*drawn)
        weight = pack.target_weight * pack.moment_weight[pack.target_row]
        mine, theirs = rows[pack.target_row], table[pack.target_item]
        picked = (mine * theirs).sum(1) + bonus[pack.target_cell]
        loss = (made.log_mass[:, 0] * pack.moment_weight).sum() - (picked * weight).sum()
        made.rows.index_add_(0, pack.target_row, theirs * -weight[:, None])
        made.table.index_add_(0, pack.target_item, mine * -weight[:, None])
        made.bonus.index_add_(0, pack.target_cell, -weight)
        total = pack.moment_weight.sum().clamp(min=1e-9)
        ctx.save_for_backward(*(part / total for part in (made.rows, made.table, made.bonus)))
        mean: Tensor = loss / total
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what forward has found."""
        d_rows, d_table, d_bonus = (part * grads[0] for part in ctx.saved_tensors)
        return d_rows[:, :-1], d_table[:, :-1], d_table[:, -1], d_bonus, None, None


class _Gradients:
    """Log of each row's sum of exponentials, and the slopes of its weighted sum over rows; what the targets take off comes later.

    A user's newest moment has no target, so its row is never looked at: of T rows a user R = T - 1 count.
    """

    def __init__(self, rows: Tensor, table: Tensor, bonus: Tensor, pack: Pack, *, shift: bool) -> None:
        """Nothing is computed yet; `shift` takes each row's largest logit off first."""
        self._rows, self._table, self._bonus, self._pack, self._shift = rows, table, bonus, pack, shift
        self.log_mass = rows.new_zeros(len(rows), 1)
        self.rows, self.table, self.bonus = torch.zeros_like(rows), torch.zeros_like(table), torch.zeros_like(bonus)

    def exact(self) -> None:
        """Over the whole catalogue."""
        items = self._table[:, :-1].contiguous()
        table = torch.zeros_like(self._table.T, memory_format=torch.contiguous_format)  # the faster way round for so narrow a product
        held = self._rows.new_empty(0)
        for parts in _chunks(self._pack.stacks):
            rows = _take(self._rows, parts)
            if len(held) < len(rows):
                held = rows.new_empty(len(rows), len(self._table))
            logits = torch.mm(rows, self._table.T, out=held[: len(rows)])
            places = [self._items(part)[:, None].expand(-1, part.moments - 1, -1) for part in parts]
            for part, own, place in zip(parts, _views(logits, parts), places, strict=True):
                own.scatter_add_(2, place, _grid(self._bonus, part)[:, :-1])
            logits[:, 0] = -torch.inf
            top = self._exponentials(parts, logits)
            scale = self._keep(parts, logits.sum(1, keepdim=True), top)
            table.addmm_((rows * scale).T, logits)
            _put(self.rows[:, :-1], parts, (logits @ items) * scale)
            for part, own, place, by in zip(parts, _views(logits, parts), places, _views(scale, parts), strict=True):
                _grid(self.bonus, part)[:, :-1] = own.gather(2, place) * by
        self.table += table.T

    def sampled(self, negatives: Tensor, log_expected: Tensor) -> None:
        """Over each user's own items, each exactly once, and the sampled ones that are not among them."""
        chosen = self._table[negatives]
        for parts in _chunks(self._pack.stacks):
            rows = _take(self._rows, parts)
            logits = rows @ chosen.T - log_expected
            views = zip(parts, _views(rows, parts), _views(logits, parts), strict=True)
            own = [self._own(part, mine, others, negatives) for part, mine, others in views]
            top = self._exponentials(parts, logits, own)
            mass = logits.sum(1, keepdim=True) + torch.cat([mine.sum(2).reshape(-1, 1) for mine in own])
            scale = self._keep(parts, mass, top)
            scaled, found = rows * scale, logits @ chosen
            self.table.index_add_(0, negatives, logits.T @ scaled)
            for part, mine, by, slope, row in zip(parts, own, _views(scale, parts), _views(found, parts), _views(scaled, parts), strict=True):
                items = self._items(part)
                slope.add_(mine @ self._table[items])
                self.table.index_add_(0, items.reshape(-1), (mine.transpose(1, 2) @ row).flatten(0, 1))
                _grid(self.bonus, part)[:, :-1] = mine * by
            _put(self.rows, parts, found * scale)

    def _items(self, part: Stack) -> Tensor:
        """(B, D) candidates."""
        return self._pack.candidates[part.candidates].view(part.users, part.distinct)

    def _own(self, part: Stack, rows: Tensor, logits: Tensor, negatives: Tensor) -> Tensor:
        """(B, R, D) logits of the users' own items; accidental hits leave `logits` (B, R, N)."""
        items = self._items(part)
        place = torch.searchsorted(items, negatives.expand(part.users, -1).contiguous()).clamp(max=part.distinct - 1)
        logits.masked_fill_((items.gather(1, place) == negatives)[:, None], -torch.inf)
        mine = rows @ self._table[items].transpose(1, 2) + _grid(self._bonus, part)[:, :-1]
        return mine.masked_fill_((items == 0)[:, None], -torch.inf)

    def _exponentials(self, parts: Sequence[Stack], logits: Tensor, own: Sequence[Tensor] = ()) -> Tensor | None:
        """Exponentials in place; (rows, 1) what was taken off before, None for nothing."""
        top = None
        if self._shift:
            top = logits.amax(1, keepdim=True)
            if own:
                top = torch.maximum(top, torch.cat([mine.amax(2).reshape(-1, 1) for mine in own]))
            logits -= top
            for mine, off in zip(own, _views(top, parts), strict=bool(own)):
                mine.sub_(off)
        logits.exp_()
        for mine in own:
            mine.exp_()
        return top

    def _keep(self, parts: Sequence[Stack], mass: Tensor, top: Tensor | None) -> Tensor:
        """Remember the rows' masses; (rows, 1) what their slopes are multiplied by."""
        _put(self.log_mass, parts, mass.log() if top is None else mass.log() + top)
        return _take(self._pack.moment_weight[:, None], parts) / mass


def _chunks(stacks: Sequence[Stack]) -> Iterator[list[Stack]]:
    """Stacks, or parts of them, of at most `ROWS` rows together; a longer user stands alone."""
    held: list[Stack] = []
    room = ROWS
    for stack in stacks:
        first, rows = 0, stack.moments - 1
        while rows and first < stack.users:
            users = min(stack.users - first, room // rows)
            if not users and held:
                yield held
                held, room = [], ROWS
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


def _grid(flat: Tensor, part: Stack) -> Tensor:
    """(B, T, D) view of one stack's cells."""
    return flat[part.grid].view(part.users, part.moments, part.distinct)


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
