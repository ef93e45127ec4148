"""The sequence model: a causal transformer over a user's moments, with a repeat head that remembers what was bought, how often and how long ago.

Reads packed users (`batches.Pack`), so no pad position is ever computed. Knows nothing of files, losses or training.
Design: pre-norm blocks with sigmoid-gated residuals and SwiGLU (LiGR, as in eSASRec), no absolute position but a learnt bias over distance and
time gap (as in HSTU), item table tied to the scorer. The repeat head follows the finding that personal frequency is most of next-basket quality.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from footfall.model.batches import DISTANCE_BUCKETS, GAP_BUCKETS, Pack

REPEAT = ("repeat_", "distance.", "gap.")
"""How the names of the repeat head's weights and of the tables over time begin."""


class SequenceConfig(PreTrainedConfig):
    """Shape of a `SequenceModel`; what config.json holds.

    Args:
        items: items in the vocabulary; item_index runs from 1 to `items`, 0 is "no item".
        event_types: number of event type codes.
        dim: width of item vectors and states.
        blocks: transformer blocks.
        heads: attention heads a block.
        channels: kernels over time of the repeat head.
        dropout: on inputs and on each residual branch, in training.
        max_events: newest events of a history that the model reads.
    """

    model_type = "footfall-sequence"

    def __init__(
        self,
        items: int = 1,
        event_types: int = 7,
        dim: int = 64,
        blocks: int = 2,
        heads: int = 2,
        channels: int = 6,
        dropout: float = 0.1,
        max_events: int = 1024,
        **rest: Any,
    ) -> None:
        """Keep the numbers; `rest` is transformers' own."""
        self.items = items
        self.event_types = event_types
        self.dim = dim
        self.blocks = blocks
        self.heads = heads
        self.channels = channels
        self.dropout = dropout
        self.max_events = max_events
        super().__init__(**rest)


class Block(nn.Module):
    """Attention and SwiGLU, each pre-normed and added through its own sigmoid gate."""

    def __init__(self, config: SequenceConfig) -> None:
        """Make the weights."""
        super().__init__()
        dim, hidden = config.dim, 2 * config.dim
        self.heads = config.heads
        self.dropout = config.dropout
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


class SequenceModel(PreTrainedModel):
    """Scores every item as the user's next: `states @ items.T + bias`, plus a repeat bonus on the items of the user's own history."""

    config_class = SequenceConfig
    config: SequenceConfig

    def __init__(self, config: SequenceConfig) -> None:
        """Make the weights; `torch.manual_seed` beforehand makes them repeatable."""
        super().__init__(config)
        dim, channels = config.dim, config.channels
        self.item = nn.Embedding(config.items + 1, dim)
        self.item_bias = nn.Parameter(torch.zeros(config.items + 1))
        self.event_type = nn.Embedding(config.event_types, dim)
        self.gap_before = nn.Embedding(GAP_BUCKETS, dim)
        self.distance = nn.Embedding(DISTANCE_BUCKETS, config.heads + channels)
        self.gap = nn.Embedding(GAP_BUCKETS, config.heads + channels)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.RMSNorm(dim)
        self.repeat_type = nn.Parameter(torch.ones(config.event_types))
        self.repeat_weight = nn.Parameter(torch.full((channels,), -math.log(100.0 * channels)))
        self.repeat_state = nn.Linear(dim, channels, bias=False)
        self.repeat_item = nn.Embedding(config.items + 1, channels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Small weights; the kernels of the repeat head start as exponential decay with half-lives from three days to two years."""
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, SequenceModel):
            nn.init.zeros_(self.repeat_item.weight)
            nn.init.zeros_(self.repeat_state.weight)
            nn.init.zeros_(self.distance.weight)
            nn.init.zeros_(self.gap.weight)
            days = (2.0 ** (torch.arange(GAP_BUCKETS) / 4.0) - 1.0) / 24.0
            half_lives = 3.0 * 3.0 ** torch.arange(self.config.channels)
            with torch.no_grad():
                self.gap.weight[:, self.config.heads :] = -math.log(2.0) * days[:, None] / half_lives

    def start_from(self, counts: Tensor) -> None:
        """Begin with popularity, each item's share of `counts` (items + 1,), and with repeats that do not depend on it; see `_repeat`."""
        with torch.no_grad():
            popularity = torch.log((counts + 1.0) / (counts.sum() + len(counts)))
            self.item_bias.copy_(popularity)
            self.repeat_item.weight.copy_(-popularity[:, None].expand_as(self.repeat_item.weight))

    def forward(self, pack: Pack, newest: bool = False) -> tuple[Tensor, list[Tensor]]:
        """States (M, dim) and each user's repeat bonus (T, D); with `newest` only each user's last moment: (U, dim) and (1, D)."""
        heads = self.config.heads
        moments = [u.moments for u in pack.users]
        x_ED = (self.item(pack.item_index) + self.event_type(pack.event_type)) * pack.share[:, None]
        x_MD = torch.zeros(len(pack.gap_before), self.config.dim, dtype=x_ED.dtype, device=x_ED.device).index_add(0, pack.moment, x_ED)
        x_MD = F.dropout(x_MD + self.gap_before(pack.gap_before), self.config.dropout, self.training)
        bias = [square[None] for square in self._relations(pack.distance, pack.gap, slice(None, heads), moments, moments)]
        for layer in self.layers:
            x_MD = layer(x_MD, bias, moments)
        states = self.norm(x_MD)
        asking, distance, gap = moments, pack.distance, pack.gap
        if newest:  # only the last row of each user's square looks back
            ends = torch.tensor([u.rows.stop - 1 for u in pack.users], device=states.device)
            states, asking = states[ends], [1] * len(moments)
            distance, gap = (torch.cat([pairs[u.pairs.stop - u.moments : u.pairs.stop] for u in pack.users]) for pairs in (distance, gap))
        kernels = [square.exp() for square in self._relations(distance, gap, slice(heads, None), asking, moments)]
        return states, self._repeat(pack, states, kernels)

    def _relations(self, distance: Tensor, gap: Tensor, columns: slice, rows: list[int], moments: list[int]) -> list[Tensor]:
        """(C, R, T) of each user: what some columns of the tables over time say of R rows looking at T moments; -inf where they must not."""
        told = F.embedding(distance, self.distance.weight[:, columns]) + F.embedding(gap, self.gap.weight[:, columns])
        told = told.float().masked_fill(distance[:, None] == 0, -torch.inf)
        # `split`, not slices: the gradient of a slice is a full-sized tensor of zeros, one a user.
        parts = told.split([r * t for r, t in zip(rows, moments, strict=True)])
        return [part.view(r, t, -1).permute(2, 0, 1).contiguous() for part, r, t in zip(parts, rows, moments, strict=True)]

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
