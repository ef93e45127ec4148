"""Softmax losses over the catalogue, one user's moments at a time, so that no (moments x items) tensor of a whole step ever exists.

Both are hand-written autograd functions: the gradient of a softmax is known while its logits are at hand, so one pass computes both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from footfall.model.batches import Pack


class _Softmax(torch.autograd.Function):
    """Cross-entropy of each moment against its targets; see `softmax_loss`."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, items: Tensor, bias: Tensor, pack: Pack, drawn: tuple[Tensor, Tensor] | None, *bonuses: Tensor) -> Tensor:
        """Loss and, at once, all gradients."""
        ones = states.new_ones(len(states), 1)
        rows, table = torch.cat([states, ones], dim=1), torch.cat([items, bias[:, None]], dim=1)  # the bias is one more product
        loss, d_rows, d_table, d_bonuses = states.new_zeros(()), torch.zeros_like(rows), torch.zeros_like(table), []
        for u, bonus, (cell, weight) in zip(pack.users, bonuses, pack.targets_by_user(), strict=True):
            mine = pack.candidates[u.candidates]
            columns, place, offset = _columns(mine, drawn)
            chosen = table if columns is None else table[columns]
            logits = rows[u.rows] @ chosen.T
            if offset is None:
                logits[:, 0] = -torch.inf
            else:
                logits -= offset
            logits.index_add_(1, place, bonus)
            row, column = cell // max(u.distinct, 1), place[cell % max(u.distinct, 1)]
            top = logits.amax(1, keepdim=True)
            logits -= top
            picked = logits[row, column]
            logits.exp_()
            mass = logits.sum(1, keepdim=True)
            moment = pack.moment_weight[u.rows, None]
            loss -= (picked * weight * moment[row, 0]).sum()
            loss += (mass.log() * moment).sum()
            # The slope is softmax minus targets; it stays multiplied by `mass`, and the thin factors are scaled instead of the large matrix.
            logits[row, column] -= weight * mass[row, 0]
            scale = moment / mass
            d_rows[u.rows] = (logits @ chosen) * scale
            d_bonuses.append(logits.index_select(1, place) * scale)
            if columns is None:
                d_table.addmm_(logits.T, rows[u.rows] * scale)
            else:
                d_table.index_add_(0, columns, logits.T @ (rows[u.rows] * scale))
        ctx.total = pack.moment_weight.sum().clamp(min=1e-9)
        ctx.save_for_backward(d_rows[:, :-1], d_table[:, :-1], d_table[:, -1], *d_bonuses)
        mean: Tensor = loss / ctx.total
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what forward has found."""
        scale = grads[0] / ctx.total
        d_states, d_items, d_bias, *d_bonuses = ctx.saved_tensors
        return d_states * scale, d_items * scale, d_bias * scale, None, None, *(d * scale for d in d_bonuses)


def _columns(mine: Tensor, drawn: tuple[Tensor, Tensor] | None) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Items that one user's softmax runs over (None: all), where the user's own stand among them, what is taken from their logits (None: nothing)."""
    if drawn is None:
        return None, mine, None
    negatives, log_expected = drawn
    fresh = ~torch.isin(negatives, mine)  # accidental hits go: the user's own items are all there, exactly once
    columns = torch.cat([mine, negatives[fresh]])
    offset = torch.cat([log_expected.new_zeros(len(mine)), log_expected[fresh]])
    return columns, torch.arange(len(mine), device=mine.device), offset


def softmax_loss(
    states: Tensor, items: Tensor, bias: Tensor, bonuses: list[Tensor], pack: Pack, drawn: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Weighted mean over moments of the cross-entropy against each one's (equally weighted) targets.

    Args:
        states: (M, dim).
        items: (V + 1, dim); row 0, "no item", takes no part.
        bias: (V + 1,).
        bonuses: a (T, D) tensor a user, added to the logits of the user's candidates.
        pack: targets and candidates.
        drawn: None for the exact softmax; else (N,) sampled item indices and (N,) log of how often each was expected to be drawn (logQ correction).
            The softmax then runs over the user's own items, which hold every target, and the sampled ones that are not among them.
    """
    loss: Tensor = _Softmax.apply(states, items, bias, pack, drawn, *bonuses)
    return loss


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
        self._generator = generator

    def draw(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(N,) item indices and (N,) log of each one's expected number of draws."""
        point = torch.rand(self._negatives, generator=self._generator, dtype=torch.float64) * self._cumulated[-1]
        items = torch.searchsorted(self._cumulated, point, right=True).clamp(1, len(self._share) - 1)
        log_expected = torch.log(self._share[items] * self._negatives).float()
        return items.to(device), log_expected.to(device)
