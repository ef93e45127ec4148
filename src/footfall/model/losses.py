"""Softmax losses over the catalogue, a few rows at a time, so that no (moments x items) tensor of a whole step ever exists.

The gradient of a softmax is known while its logits are at hand, so one pass computes loss and gradients: three products of the size of the logits,
which is the least there can be, and one exponential. The bias is one more column of the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from footfall.model.packs import Pack, Stack

ROWS = 128
"""Rows of logits that are held at once on a CPU: they stay in its cache for catalogues of ten thousand items."""
_NUMBERS_ON_GPU = 1 << 25
"""Logits that are held at once on a GPU."""
_SAFE = 80.0
"""Logits below this need no shift before the exponential of a float32."""
_ALIGNED = 8
"""Columns of 16 bits come in multiples of this where products are to be fast."""


def softmax_loss(
    states: Tensor,
    items: Tensor,
    bias: Tensor,
    bonuses: Sequence[Tensor],
    pack: Pack,
    drawn: tuple[Tensor, Tensor] | None = None,
    *,
    factors: torch.dtype | None = None,
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
        factors: type to which the exact softmax's factors, logits and shares are rounded; sums are kept in the states' type. None: not at all.
    """
    flat = torch.cat([bonus.reshape(-1) for bonus in bonuses])
    loss: Tensor = _Softmax.apply(states, items, bias, flat, pack, drawn, factors)
    return loss


class _Softmax(torch.autograd.Function):
    """Cross-entropy of each moment against its targets; see `softmax_loss`."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        items: Tensor,
        bias: Tensor,
        bonus: Tensor,
        pack: Pack,
        drawn: tuple[Tensor, Tensor] | None,
        factors: torch.dtype | None,
    ) -> Tensor:
        """Loss and, at once, all gradients."""
        rows, table = torch.cat([states, states.new_ones(len(states), 1)], dim=1), torch.cat([items, bias[:, None]], dim=1)
        made = _Gradients(rows, table, bonus, pack)
        if drawn is not None:
            made.sampled(*drawn)
        elif factors is None:
            made.exact()
        else:
            made.rounded(factors)
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
        return d_rows[:, :-1], d_table[:, :-1], d_table[:, -1], d_bonus, None, None, None


class _Labels(NamedTuple):
    """Some rows of one stack that have targets: `rows` of the pack's labels from `first` on."""

    stack: Stack
    first: int
    rows: int


class _Gradients:
    """Log of each row's sum of exponentials, and the slopes of its weighted sum over rows; what the targets take off comes later."""

    def __init__(self, rows: Tensor, table: Tensor, bonus: Tensor, pack: Pack) -> None:
        """Nothing is computed yet."""
        self._rows, self._table, self._bonus, self._pack = rows, table, bonus, pack
        # each row's largest logit is taken off where it may matter; to ask a GPU whether it does costs more than doing it
        self._shift = rows.is_cuda or bool(rows.norm(dim=1).max() * table.norm(dim=1).max() + bonus.max() > _SAFE)
        self.log_mass = rows.new_zeros(len(rows), 1)
        self.rows, self.table, self.bonus = torch.zeros_like(rows), torch.zeros_like(table), torch.zeros_like(bonus)

    def exact(self) -> None:
        """Over the whole catalogue, for the rows that have targets."""
        items = self._table[:, :-1].contiguous()
        slopes = torch.zeros_like(self._table.T, memory_format=torch.contiguous_format)  # the faster way round for so narrow a product
        held = self._rows.new_empty(0)
        for parts in _label_chunks(self._pack.stacks, self._at_once()):
            at, places = self._places(parts)
            mine = self._rows[at]
            if len(held) < len(mine):
                held = self._rows.new_empty(len(mine), len(self._table))
            logits = torch.mm(mine, self._table.T, out=held[: len(mine)])
            self._add_bonuses(logits, parts, places)
            top = self._exponentials(logits)
            mass = logits.sum(1, keepdim=True)
            self.log_mass[at] = mass.log() if top is None else mass.log() + top
            scale = self._pack.moment_weight[at, None] / mass
            self._keep_bonuses(logits, scale, parts, places)
            slopes.addmm_((mine * scale).T, logits)
            self.rows[:, :-1].index_copy_(0, at, (logits @ items) * scale)
        self.table += slopes.T

    def rounded(self, factors: torch.dtype) -> None:
        """As `exact`, with logits and shares in a narrower type, which a GPU multiplies many times as fast; sums stay as wide as they were."""
        rows, table = _rounded(self._rows, self._table, factors)
        slopes = self._table.new_zeros(table.shape[1], len(table))
        for parts in _label_chunks(self._pack.stacks, self._at_once()):
            at, places = self._places(parts)
            mine, weight = rows[at], self._pack.moment_weight[at, None]
            logits = mine @ table.T
            self._add_bonuses(logits, parts, places)
            top, best = logits.max(1, keepdim=True)
            shares = torch.softmax(logits, 1)
            self.log_mass[at] = top.float() - shares.gather(1, best).float().log()
            self._keep_bonuses(shares, weight, parts, places)
            slopes += _product((mine * weight).to(factors).T, shares)
            self.rows[:, :-1].index_copy_(0, at, _product(shares, table)[:, : self.rows.shape[1] - 1] * weight)
        self.table += slopes[: self.table.shape[1], : len(self.table)].T

    def sampled(self, negatives: Tensor, log_expected: Tensor) -> None:
        """Over each user's own items, each exactly once, and the sampled ones that are not among them.

        A user's newest moment has no target, so its row is never looked at: of T rows a user R = T - 1 count.
        """
        chosen = self._table[negatives]
        for parts in _chunks(self._pack.stacks, self._at_once()):
            rows = _take(self._rows, parts)
            logits = rows @ chosen.T - log_expected
            views = zip(parts, _views(rows, parts), _views(logits, parts), strict=True)
            own = [self._own(part, mine, others, negatives) for part, mine, others in views]
            top = self._exponentials(logits, parts, own)
            mass = logits.sum(1, keepdim=True) + torch.cat([mine.sum(2).reshape(-1, 1) for mine in own])
            _put(self.log_mass, parts, mass.log() if top is None else mass.log() + top)
            scale = _take(self._pack.moment_weight[:, None], parts) / mass
            scaled, found = rows * scale, logits @ chosen
            self.table.index_add_(0, negatives, logits.T @ scaled)
            for part, mine, by, slope, row in zip(parts, own, _views(scale, parts), _views(found, parts), _views(scaled, parts), strict=True):
                items = self._items(part)
                slope.add_(mine @ self._table[items])
                self.table.index_add_(0, items.reshape(-1), (mine.transpose(1, 2) @ row).flatten(0, 1))
                _grid(self.bonus, part).view(part.users, part.moments, -1)[:, :-1] = mine * by
            _put(self.rows, parts, found * scale)

    def _at_once(self) -> int:
        return max(_NUMBERS_ON_GPU // len(self._table), ROWS) if self._rows.is_cuda else ROWS

    def _items(self, part: Stack) -> Tensor:
        """(B, D) candidates."""
        return self._pack.candidates[part.candidates].view(part.users, part.distinct)

    def _places(self, parts: Sequence[_Labels]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """(n,) rows of all parts; of each part (n,) rows among its stack's, and (n, D) the candidates of their users."""
        found = []
        for part in parts:
            row = self._pack.label_row[part.first : part.first + part.rows] - part.stack.first_row
            found.append((row, self._items(part.stack)[row // part.stack.moments]))
        return self._pack.label_row[parts[0].first : parts[-1].first + parts[-1].rows], found

    def _add_bonuses(self, logits: Tensor, parts: Sequence[_Labels], places: Sequence[tuple[Tensor, Tensor]]) -> None:
        """To the users' candidates; "no item" gets out of the way."""
        for part, own, (row, place) in zip(parts, logits.split([part.rows for part in parts]), places, strict=True):
            own.scatter_add_(1, place, _grid(self._bonus, part.stack)[row].to(logits.dtype))
        logits[:, 0] = -torch.inf

    def _keep_bonuses(self, shares: Tensor, scale: Tensor, parts: Sequence[_Labels], places: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Their slopes: the candidates' shares, each row's times its scale."""
        sizes = [part.rows for part in parts]
        for part, own, by, (row, place) in zip(parts, shares.split(sizes), scale.split(sizes), places, strict=True):
            _grid(self.bonus, part.stack).index_copy_(0, row, own.gather(1, place) * by)

    def _own(self, part: Stack, rows: Tensor, logits: Tensor, negatives: Tensor) -> Tensor:
        """(B, R, D) logits of the users' own items; accidental hits leave `logits` (B, R, N)."""
        items = self._items(part)
        place = torch.searchsorted(items, negatives.expand(part.users, -1).contiguous()).clamp(max=part.distinct - 1)
        logits.masked_fill_((items.gather(1, place) == negatives)[:, None], -torch.inf)
        bonus = _grid(self._bonus, part).view(part.users, part.moments, -1)[:, :-1]
        mine = rows @ self._table[items].transpose(1, 2) + bonus
        return mine.masked_fill_((items == 0)[:, None], -torch.inf)

    def _exponentials(self, logits: Tensor, parts: Sequence[Stack] = (), own: Sequence[Tensor] = ()) -> Tensor | None:
        """Exponentials in place; (rows, 1) what was taken off before, None for nothing."""
        top = None
        if self._shift:
            top = logits.amax(1, keepdim=True)
            if own:
                top = torch.maximum(top, torch.cat([mine.amax(2).reshape(-1, 1) for mine in own]))
            logits -= top
            for mine, off in zip(own, _views(top, parts) if own else (), strict=True):
                mine.sub_(off)
        logits.exp_()
        for mine in own:
            mine.exp_()
        return top


def _rounded(rows: Tensor, table: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both in a narrower type and in sizes that a GPU likes; items that only fill up have no share.

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
    """Product of two narrow matrices, in float32; a CPU, which has no such product, gets there in tests alone."""
    return torch.mm(left, right, out_dtype=torch.float32) if left.is_cuda else left.float() @ right.float()


def _label_chunks(stacks: Sequence[Stack], rows: int) -> Iterator[list[_Labels]]:
    """All labels, so many at a time."""
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


def _grid(flat: Tensor, part: Stack) -> Tensor:
    """(B x T, D) view of one stack's cells."""
    return flat[part.grid].view(part.users * part.moments, part.distinct)


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
