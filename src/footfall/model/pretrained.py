"""The network with transformers' conventions: its configuration, how its weights begin, `save_pretrained` and `from_pretrained`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from footfall.contracts import EVENT_TYPES
from footfall.core.sequence_model import GAP_BUCKETS, MODEL_TYPE
from footfall.model.network import SequenceNetwork, Shape
from footfall.params import Model

_DEFAULT = Shape()


class SequenceConfig(PreTrainedConfig):
    """`network.Shape` as what config.json holds; the arguments are Shape's."""

    model_type = MODEL_TYPE

    def __init__(
        self,
        items: int = _DEFAULT.items,
        event_types: int = _DEFAULT.event_types,
        dim: int = _DEFAULT.dim,
        blocks: int = _DEFAULT.blocks,
        heads: int = _DEFAULT.heads,
        channels: int = _DEFAULT.channels,
        dropout: float = _DEFAULT.dropout,
        max_events: int = _DEFAULT.max_events,
        **rest: Any,
    ) -> None:
        """Keep the numbers; `rest` is `queries` and `durations`, which only some shops have, and transformers' own."""
        self.items = items
        self.event_types = event_types
        self.dim = dim
        self.blocks = blocks
        self.heads = heads
        self.channels = channels
        self.dropout = dropout
        self.max_events = max_events
        self.queries: int = rest.pop("queries", _DEFAULT.queries)
        self.durations: int = rest.pop("durations", _DEFAULT.durations)
        super().__init__(**rest)

    @classmethod
    def of(cls, params: Model, items: int, queries: int = 0, durations: int = 0) -> SequenceConfig:
        """What params.yaml asks for, at a shop with so many items, search texts and codes of view durations."""
        told = dataclasses.asdict(params)
        channels = told.pop("repeat_channels")
        return cls(items=items, event_types=len(EVENT_TYPES), channels=channels, queries=queries, durations=durations, **told)

    @property
    def shape(self) -> Shape:
        """The same numbers without transformers."""
        return Shape(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Shape)})


class SequenceModel(SequenceNetwork, PreTrainedModel):
    """A network that begins with drawn weights; `torch.manual_seed` beforehand makes them repeatable."""

    config_class = SequenceConfig
    config: SequenceConfig

    def __init__(self, config: SequenceConfig) -> None:
        """Make and draw the weights."""
        PreTrainedModel.__init__(self, config)
        self.build(config.shape)
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
            if self.signals is not None:
                self.signals.start()
            days = (2.0 ** (torch.arange(GAP_BUCKETS) / 4.0) - 1.0) / 24.0
            half_lives = 3.0 * 3.0 ** torch.arange(self.shape.channels)
            with torch.no_grad():
                self.gap.weight[:, self.shape.heads :] = -math.log(2.0) * days[:, None] / half_lives

    def start_from(self, counts: Tensor, vectors: Tensor | None = None) -> None:
        """Begin with popularity, each item's share of `counts` (items + 1,), and with repeats that do not depend on it; see `_repeat`.

        Item vectors begin at `vectors` (items + 1, dim), where there are any.
        """
        with torch.no_grad():
            popularity = torch.log((counts + 1.0) / (counts.sum() + len(counts)))
            self.item_bias.copy_(popularity)
            self.repeat_item.weight.copy_(-popularity[:, None].expand_as(self.repeat_item.weight))
            if vectors is not None:
                self.item.weight.mul_(0.05).add_(vectors)
