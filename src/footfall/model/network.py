"""The sequence model: a causal transformer over a user's moments, with a repeat head that remembers what was bought, how often and how long ago.

Reads packed users (`batches.Pack`), so no pad position is ever computed. Knows nothing of files, losses or training.
Design: pre-norm blocks with sigmoid-gated residuals and SwiGLU (LiGR, as in eSASRec), no absolute position but a learnt bias over distance and
time gap (as in HSTU), item table tied to the scorer. The repeat head follows the finding that personal frequency is most of next-basket quality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footfall.model.batches import DISTANCE_BUCKETS, GAP_BUCKETS, Pack

REPEAT = ("repeat_", "distance.", "gap.")
"""How the names of the repeat head's weights and of the tables over time begin."""


MODEL_TYPE = "footfall-sequence"
"""What config.json calls this network."""


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
    """

    items: int = 1
    event_types: int = 7
    dim: int = 64
    blocks: int = 2
    heads: int = 2
    channels: int = 6
    dropout: float = 0.1
    max_events: int = 1024


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

    def forward(self, x_MD: Tensor, bias: list[Tensor], moments: list[int]) -> Tensor:
        """(M, dim) -> (M, dim); `moments` holds T of each user, `bias` a (1, H, T, T) tensor each, -inf where a moment must not look."""
        qkv = self.qkv(self.norm_attention(x_MD)).view(len(x_MD), 3, 1, self.heads, -1).permute(1, 2, 3, 0, 4)  # (3, 1, H, M, dim / H)
        users = zip(qkv.split(moments, dim=3), bias, strict=True)
        seen = [F.scaled_dot_product_attention(part[0], part[1], part[2], attn_mask=square) for part, square in users]
        attended = self.out(torch.cat(seen, dim=2)[0].transpose(0, 1).reshape(x_MD.shape))
        x_MD = x_MD + torch.sigmoid(self.gate_attention(x_MD)) * F.dropout(attended, self.dropout, self.training)
        left, right = self.feed_in(self.norm_feed(x_MD)).chunk(2, dim=-1)
        fed = self.feed_out(F.silu(left) * right)
        return x_MD + torch.sigmoid(self.gate_feed(x_MD)) * F.dropout(fed, self.dropout, self.training)


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

    def forward(self, pack: Pack, newest: bool = False) -> tuple[Tensor, list[Tensor]]:
        """States (M, dim) and each user's repeat bonus (T, D); with `newest` only each user's last moment: (U, dim) and (1, D)."""
        heads = self.shape.heads
        moments = [u.moments for u in pack.users]
        x_ED = (self.item(pack.item_index) + self.event_type(pack.event_type)) * pack.share[:, None]
        x_MD = torch.zeros(len(pack.gap_before), self.shape.dim, dtype=x_ED.dtype, device=x_ED.device).index_add(0, pack.moment, x_ED)
        x_MD = F.dropout(x_MD + self.gap_before(pack.gap_before), self.shape.dropout, self.training)
        squares = self._relations(pack.distance, pack.gap, slice(heads if newest else None), moments, moments)
        bias = [square[None, :heads].contiguous() for square in squares]
        for layer in self.layers:
            x_MD = layer(x_MD, bias, moments)
        states = self.norm(x_MD)
        decays = [square[heads:] for square in squares]
        if newest:  # only the last row of each user's square looks back
            states = states[torch.tensor([u.rows.stop - 1 for u in pack.users], device=states.device)]
            distance, gap = (torch.cat([pairs[u.pairs.stop - u.moments : u.pairs.stop] for u in pack.users]) for pairs in (pack.distance, pack.gap))
            decays = self._relations(distance, gap, slice(heads, None), [1] * len(moments), moments)
        kernels = [decay.exp() for decay in decays]
        return states, self._repeat(pack, states, kernels)

    def _relations(self, distance: Tensor, gap: Tensor, columns: slice, rows: list[int], moments: list[int]) -> list[Tensor]:
        """(C, R, T) of each user: what some columns of the tables over time say of R rows looking at T moments; -inf where they must not."""
        told = F.embedding(distance, self.distance.weight[:, columns]) + F.embedding(gap, self.gap.weight[:, columns])
        told = told.float().masked_fill(distance[:, None] == 0, -torch.inf)
        # `split`, not slices: the gradient of a slice is a full-sized tensor of zeros, one a user.
        parts = told.split([r * t for r, t in zip(rows, moments, strict=True)])
        return [part.view(r, t, -1).permute(2, 0, 1) for part, r, t in zip(parts, rows, moments, strict=True)]

    def _repeat(self, pack: Pack, states: Tensor, kernels: list[Tensor]) -> list[Tensor]:
        """Each user's bonus, log(1 + sum over channels of weight * decayed count): the softmax then mixes taste with a share for each repeat.

        A weight is the product of the channel's, the state's and the item's. An item starts at one over its popularity, so that at first
        exp(bias + bonus) = popularity + decayed count / 100: personal frequency, with popularity for the rest.
        """
        cells = pack.users[-1].grid.stop
        counts = torch.zeros(cells, device=states.device).index_add(0, pack.event_cell, self.repeat_type[pack.cell_type]).relu()
        by_user = zip(
            pack.users,
            kernels,
            counts.split([u.moments * u.distinct for u in pack.users]),
            (self.repeat_state(states) + self.repeat_weight).float().exp().split([kernel.shape[1] for kernel in kernels]),
            self.repeat_item(pack.candidates).exp().split([u.distinct for u in pack.users]),
            strict=True,
        )
        bonuses = []
        for u, kernel, count, by_state, by_item in by_user:
            decayed = kernel @ count.view(u.moments, u.distinct)  # (K, T, D)
            mixed = (decayed * by_state.T[:, :, None] * by_item.T[:, None, :]).sum(0)
            bonuses.append(torch.log1p(mixed))
        return bonuses

    def scores(self, pack: Pack) -> Tensor:
        """(U, items) logits of each user's next items; column j is item_index j + 1."""
        states, bonuses = self(pack, newest=True)
        logits: Tensor = states @ self.item.weight.T + self.item_bias
        for row, (u, bonus) in enumerate(zip(pack.users, bonuses, strict=True)):
            logits[row].index_add_(0, pack.candidates[u.candidates], bonus[0])
        return logits[:, 1:]
