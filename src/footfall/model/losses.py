"""Cross-entropy over the catalogue, a few rows at a time, so that no (moments x items) tensor of a whole step ever exists.

The gradient of a softmax is known while its logits are at hand, so one pass computes loss and gradients: three products of the size of the logits,
which is the least there can be, and one exponential. The bias is one more column of the products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from footfall.model.exact_softmax import exact, rounded
from footfall.model.packs import Pack
from footfall.model.sampled_softmax import sampled
from footfall.model.slopes import Slopes

_FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Capabilities of a CPU by which it multiplies bfloat16 faster than float32."""


def narrow_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The `factors` of `softmax_loss` that `train.precision` stands for on a device."""
    if precision == "auto":
        fast = device.type == "cuda" or any(torch.cpu.get_capabilities().get(name) for name in _FAST_BFLOAT16)
        precision = "bfloat16" if fast else "float32"
    return torch.bfloat16 if precision == "bfloat16" else None


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
        made = Slopes(rows, table, bonus, pack)
        if drawn is not None:
            sampled(made, *drawn)
        elif factors is None:
            exact(made)
        else:
            rounded(made, factors)
        weight = pack.target_weight * pack.moment_weight[pack.target_row]
        mine, theirs = rows[pack.target_row], table[pack.target_item]
        picked = (mine * theirs).sum(1) + bonus[pack.target_cell]
        loss = (made.log_mass[:, 0] * pack.moment_weight).sum() - (picked * weight).sum()
        made.d_rows.index_add_(0, pack.target_row, theirs * -weight[:, None])
        made.d_table.index_add_(0, pack.target_item, mine * -weight[:, None])
        made.d_bonus.index_add_(0, pack.target_cell, -weight)
        total = pack.moment_weight.sum().clamp(min=1e-9)
        ctx.save_for_backward(*(part / total for part in (made.d_rows, made.d_table, made.d_bonus)))
        mean: Tensor = loss / total
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what forward has found."""
        d_rows, d_table, d_bonus = (part * grads[0] for part in ctx.saved_tensors)
        return d_rows[:, :-1], d_table[:, :-1], d_table[:, -1], d_bonus, None, None, None
