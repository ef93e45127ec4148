"""The sequence model: a causal transformer over a user's moments, with a repeat head that remembers what was bought, how often and how long ago.

Reads packed users (`packs.Pack`), so no pad position is ever computed. Knows nothing of files, losses or training.
Design: pre-norm blocks with sigmoid-gated residuals and SwiGLU (LiGR, as in eSASRec), no absolute position but a learnt bias over distance and
time gap (as in HSTU), item table tied to the scorer. The repeat head follows the finding that personal frequency is most of next-basket quality.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footfall.core.sequence_model import DISTANCE_BUCKETS, GAP_BUCKETS
from footfall.model.heads import Heads
from footfall.model.packs import Pack, Stack
from footfall.model.signals import Signals

REPEAT = ("repeat_", "distance.", "gap.")
"""How the names of the repeat head's weights and of the tables over time begin."""

_PIECE = 1 << 20
"""Look-ups whose slopes are added at a time."""


@dataclass(frozen=True)
class Shape:
    """What decides the network's weights and what it may read.

    Attributes:
        items: items in the vocabulary; item_index runs from 1 to `items`, 0 is "no item".
        event_types: number of event type codes.
        dim: width of item vectors and states.
        blocks: transformer blocks.
        heads: attention heads a block.
        channels: kernels over time of the repeat head.
        dropout: on inputs and on each residual branch, in training.
        max_events: newest events of a history that the model reads.
        queries: queries that have a vector, query_index 1 to `queries`; 0: the shop has no searches.
        durations: codes of view durations; 0: the shop does not measure them.
    """

    items: int = 1
    event_types: int = 7
    dim: int = 64
    blocks: int = 2
    heads: int = 2
    channels: int = 6
    dropout: float = 0.1
    max_events: int = 1024
    queries: int = 0
    durations: int = 0


def dropout(x: Tensor, chance: float, training: bool) -> Tensor:
    """Torch's dropout; on a CPU, where it draws a number of 32 bits for each element one after the other, with a byte each.

    There the chance is rounded to 1/256, and what stays is scaled by the rounded one.
    """
    if not training or not chance or x.is_cuda:
        return F.dropout(x, chance, training)
    least = round(256 * chance)
    draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[: x.numel()]
    return x * (draws >= least).view(x.shape).to(x.dtype).mul_(256 / (256 - least))


class _OneOfFew(torch.autograd.Function):
    """`rows[index]` with a slope that is a product: that of a look-up adds millions of numbers to a handful of rows, which a GPU does one by one."""

    @staticmethod
    def forward(ctx: Any, index: Tensor, rows: Tensor) -> Tensor:
        """(N,) and (R, C) -> (N, C)."""
        ctx.save_for_backward(index)
        ctx.rows = len(rows)
        return rows[index]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        """Sums of the slopes of each row, a piece at a time."""
        (index,), (grad,) = ctx.saved_tensors, grads
        found, numbers = grad.new_zeros(ctx.rows, grad.shape[1]), torch.arange(ctx.rows, device=grad.device)[:, None]
        for some, slopes in zip(index.split(_PIECE), grad.split(_PIECE), strict=True):
            found += (numbers == some).to(grad.dtype) @ slopes
        return None, found


def _one_of_few(index: Tensor, rows: Tensor) -> Tensor:
    """`rows[index]`, of a handful of rows."""
    if not rows.is_cuda:
        return F.embedding(index, rows)
    found: Tensor = _OneOfFew.apply(index, rows)
    return found


class Block(nn.Module):
    """Attention and SwiGLU, each pre-normed and added through its own sigmoid gate."""

    def __init__(self, shape: Shape) -> None:
        """Make the weights."""
        super().__init__()
        dim, hidden = shape.dim, 2 * shape.dim
        self.heads = shape.heads
        self.dropout = shape.dropout
        self.norm_attention = nn.RMSNorm(dim)
        self.norm_feed = nn.RMSNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.gate_attention = nn.Linear(dim, dim)
        self.feed_in = nn.Linear(dim, 2 * hidden, bias=False)
        self.feed_out = nn.Linear(hidden, dim, bias=False)
        self.gate_feed = nn.Linear(dim, dim)

    def forward(self, x_MD: Tensor, bias: list[Tensor], stacks: Sequence[Stack]) -> Tensor:
        """(M, dim) -> (M, dim); `bias` holds a (B, H, T, T) tensor a stack, -inf where a moment must not look."""
        qkv = self.qkv(self.norm_attention(x_MD)).split([stack.users * stack.moments for stack in stacks])
        seen = []
        for part, stack, square in zip(qkv, stacks, bias, strict=True):
            q, k, v = part.view(stack.users, stack.moments, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, T, dim / H) each
            seen.append(F.scaled_dot_product_attention(q, k, v, attn_mask=square).transpose(1, 2).reshape(-1, x_MD.shape[1]))
        attended = self.out(torch.cat(seen))
        x_MD = x_MD + torch.sigmoid(self.gate_attention(x_MD)) * dropout(attended, self.dropout, self.training)
        left, right = self.feed_in(self.norm_feed(x_MD)).chunk(2, dim=-1)
        fed = self.feed_out(F.silu(left) * right)
        return x_MD + torch.sigmoid(self.gate_feed(x_MD)) * dropout(fed, self.dropout, self.training)


class SequenceNetwork(nn.Module):
    """Scores every item as the user's next: `states @ items.T + bias`, plus a repeat bonus on the items of the user's own history.

    Plain torch: `pretrained.SequenceModel` is the same with transformers' conventions, for training and for `from_pretrained`; whoever only
    scores need not import transformers, which takes twice as long as torch.
    """

    def __init__(self, shape: Shape) -> None:
        """Make the weights; how they begin is `pretrained`'s business."""
        super().__init__()
        self.build(shape)

    def build(self, shape: Shape) -> None:
        """Make the layers."""
        dim, channels = shape.dim, shape.channels
        self.shape = shape
        self.item = nn.Embedding(shape.items + 1, dim)
        self.item_bias = nn.Parameter(torch.zeros(shape.items + 1))
        self.event_type = nn.Embedding(shape.event_types, dim)
        self.gap_before = nn.Embedding(GAP_BUCKETS, dim)
        self.distance = nn.Embedding(DISTANCE_BUCKETS, shape.heads + channels)
        self.gap = nn.Embedding(GAP_BUCKETS, shape.heads + channels)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = nn.RMSNorm(dim)
        self.repeat_type = nn.Parameter(torch.ones(shape.event_types))
        self.repeat_weight = nn.Parameter(torch.full((channels,), -math.log(100.0 * channels)))
        self.repeat_state = nn.Linear(dim, channels, bias=False)
        self.repeat_item = nn.Embedding(shape.items + 1, channels)
        self.signals = Signals(shape.queries, shape.durations, dim) if shape.queries or shape.durations else None
        self.heads = Heads(dim, shape.event_types)

    def forward(self, pack: Pack, newest: bool = False, items: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """States (M, dim) and each stack's repeat bonus (B, T, D); with `newest` only each user's last moment: (U, dim) and (B, 1, D).

        Users stand in the pack's order. Training hands in the item vectors where they are not the id rows alone (`content.ItemFusion`).
        """
        heads = self.shape.heads
        x_ED = self.item(pack.item_index) if items is None else F.embedding(pack.item_index, items)
        x_ED = x_ED + _one_of_few(pack.event_type, self.event_type.weight)
        if self.signals is not None:
            x_ED = self.signals(x_ED, pack)
        x_ED = x_ED * pack.share[:, None]
        x_MD = torch.zeros(len(pack.gap_before), self.shape.dim, dtype=x_ED.dtype, device=x_ED.device).index_add(0, pack.moment, x_ED)
        x_MD = dropout(x_MD + self.gap_before(pack.gap_before), self.shape.dropout, self.training)
        told = self._relations(pack, slice(heads if newest else None), newest=False)
        bias = [square[:, :heads] for square in told]
        for layer in self.layers:
            x_MD = layer(x_MD, bias, pack.stacks)
        states = self.norm(x_MD)
        decays = [square[:, heads:] for square in told]
        if newest:  # only the last row of each user's square looks back
            states = states[pack.last_rows]
            decays = self._relations(pack, slice(heads, None), newest=True)
        return states, self._repeat(pack, states, [decay.exp() for decay in decays])

    def _relations(self, pack: Pack, columns: slice, *, newest: bool) -> list[Tensor]:
        """(B, C, R, T) a stack: what some columns of the tables over time say of R rows looking at T moments; -inf where they must not.

        R is T, or 1 with `newest`.
        """
        distance, gap = pack.distance, pack.gap
        sizes = [stack.users * stack.moments**2 for stack in pack.stacks]
        rows = [1 if newest else stack.moments for stack in pack.stacks]
        if newest:
            distance, gap = distance[pack.last_pairs], gap[pack.last_pairs]
            sizes = [stack.users * stack.moments for stack in pack.stacks]
        told = _one_of_few(distance, self.distance.weight[:, columns]) + _one_of_few(gap, self.gap.weight[:, columns])
        told = told.float().masked_fill(distance[:, None] == 0, -torch.inf)
        # `split`, not slices: the gradient of a slice is a full-sized tensor of zeros, one a stack.
        parts = zip(told.split(sizes), pack.stacks, rows, strict=True)
        return [part.view(stack.users, r, stack.moments, -1).permute(0, 3, 1, 2) for part, stack, r in parts]

    def _repeat(self, pack: Pack, states: Tensor, kernels: list[Tensor]) -> list[Tensor]:
        """Each user's bonus, log(1 + sum over channels of weight * decayed count): the softmax then mixes taste with a share for each repeat.

        A weight is the product of the channel's, the state's and the item's. An item starts at one over its popularity, so that at first
        exp(bias + bonus) = popularity + decayed count / 100: personal frequency, with popularity for the rest.
        """
        rows = [kernel.shape[2] for kernel in kernels]
        repeats = _one_of_few(pack.cell_type, self.repeat_type[:, None])[:, 0]
        counts = torch.zeros(pack.cells, device=states.device).index_add(0, pack.event_cell, repeats).relu()
        weights = (self.repeat_state(states) + self.repeat_weight).float().exp()
        by_stack = zip(
            pack.stacks,
            kernels,
            counts.split([stack.users * stack.moments * stack.distinct for stack in pack.stacks]),
            weights.split([stack.users * r for stack, r in zip(pack.stacks, rows, strict=True)]),
            self.repeat_item(pack.candidates).exp().split([stack.users * stack.distinct for stack in pack.stacks]),
            strict=True,
        )
        bonuses = []
        for stack, kernel, count, of_state, of_item in by_stack:
            decayed = kernel @ count.view(stack.users, 1, stack.moments, stack.distinct)  # (B, K, R, D)
            by_state = of_state.view(stack.users, kernel.shape[2], -1).transpose(1, 2)[..., None]  # (B, K, R, 1)
            by_item = of_item.view(stack.users, stack.distinct, -1).transpose(1, 2)[:, :, None]  # (B, K, 1, D)
            bonuses.append(torch.log1p((decayed * by_state * by_item).sum(1)))
        return bonuses

    def scores(self, pack: Pack) -> Tensor:
        """(U, items) logits of each given user's next items; column j is item_index j + 1."""
        states, bonuses = self(pack, newest=True)
        logits: Tensor = states @ self.item.weight.T + self.item_bias
        items = [pack.candidates[stack.candidates].view(stack.users, -1) for stack in pack.stacks]
        for rows, place, bonus in zip(logits.split([stack.users for stack in pack.stacks]), items, bonuses, strict=True):
            rows.scatter_add_(1, place, bonus[:, 0])
        given = torch.empty_like(logits)
        given[pack.order] = logits
        return given[:, 1:]
