"""Vectors for what an event says beyond its item and type: what was searched for, and how long a view lasted.

They are added to the event's vector. A shop without searches and durations has none of these weights, and its numbers stay as they are to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from footfall.model.packs import Pack

_LENGTH = 0.1
"""Length of a query's vector where it begins as its text's."""


class Signals(nn.Module):
    """A vector a query and a vector a duration code; index 0 of either adds nothing.

    Args:
        queries: known queries; 0: the shop has none.
        durations: duration codes, 0 ("unknown") included; 0: the shop has none.
        dim: width of an event's vector.
    """

    def __init__(self, queries: int, durations: int, dim: int) -> None:
        """Make the weights."""
        super().__init__()
        self.query = nn.Embedding(queries + 1, dim, padding_idx=0) if queries else None
        self.duration = nn.Embedding(durations, dim, padding_idx=0) if durations else None

    def start(self) -> None:
        """All at nothing, so that training begins where it would begin without them."""
        for table in (self.query, self.duration):
            if table is not None:
                nn.init.zeros_(table.weight)

    def start_queries_from(self, text: Tensor, seed: int) -> None:
        """Begin with the queries' own text vectors (queries + 1, d), of equal length and turned at random into the width of the model.

        Queries that say the same then begin close together, in whatever language; row 0 and rows of zeros stay at nothing.
        """
        if self.query is None:
            return
        turn = torch.randn(text.shape[1], self.query.embedding_dim, generator=torch.Generator().manual_seed(seed))
        vectors = text.float() @ turn
        vectors = _LENGTH * vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-9)
        vectors[0] = 0.0
        with torch.no_grad():
            self.query.weight.copy_(vectors)

    def forward(self, x_ED: Tensor, pack: Pack) -> Tensor:
        """(E, dim) event vectors, with what the pack says of queries and durations added."""
        if self.query is not None and pack.query is not None:
            x_ED = x_ED + self.query(pack.query)
        if self.duration is not None and pack.duration is not None:
            x_ED = x_ED + self.duration(pack.duration)
        return x_ED
