"""Heads on the backbone's state: which event type comes next, and when the next purchase comes. The next item is the ranking's own softmax.

The weights are buffers, not parameters: they travel with the network, and whoever trains, averages or keeps the backbone does not see them. Making
them draws nothing, so a network with heads begins and ranks bit for bit as one without. How they are taught is `head_training`'s business.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footfall.core.outlook import SPANS
from footfall.core.rhythm import FIGURES

_FAR = 5.0
"""Standard deviations beyond which a figure says no more."""


class Heads(nn.Module):
    """A linear model of state and rhythm, plus one hidden layer as wide as the state, for both answers."""

    mean: Tensor
    scale: Tensor
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    direct: Tensor
    bias: Tensor

    def __init__(self, dim: int, event_types: int) -> None:
        """Make the weights, all zero: `taught` is false until they are set."""
        super().__init__()
        self.event_types = event_types
        figures, answers = len(FIGURES), event_types + SPANS
        shapes = {"mean": (figures,), "scale": (figures,), "inner": (dim, dim + figures), "inner_bias": (dim,), "outer": (answers, dim)}
        for name, shape in (shapes | {"direct": (answers, dim + figures), "bias": (answers,)}).items():
            self.register_buffer(name, torch.zeros(shape))

    @property
    def taught(self) -> bool:
        """Whether the weights have ever been set."""
        return bool(self.scale.any())

    def forward(self, states: Tensor, figures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the next event type (Q, event_types), and log hazards of the next purchase (Q, SPANS) in purchases a day.

        Args:
            states: (Q, dim) after the newest moment before the one asked for.
            figures: (Q, len(FIGURES)) of `core.rhythm` at the moment asked for: the time since that newest moment stands among them, so that a
                user who has stayed away is not taken for one who was here a minute ago.
        """
        told = torch.cat([states, ((figures - self.mean) * self.scale).clamp(-_FAR, _FAR)], dim=1)
        hidden = F.silu(F.linear(told, self.inner, self.inner_bias))
        answers = F.linear(told, self.direct, self.bias) + F.linear(hidden, self.outer)
        return answers[:, : self.event_types], answers[:, self.event_types :]
