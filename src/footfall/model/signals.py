"""Vectors for what an event says beyond its item and type: what was searched for, and how long a view lasted.

They are added to the event's vector. A shop without searches and durations has none of these weights, and its numbers stay as they are to the bit.
"""

from __future__ import annotations

from torch import Tensor, nn

from footfall.model.packs import Pack


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

    def forward(self, x_ED: Tensor, pack: Pack) -> Tensor:
        """(E, dim) event vectors, with what the pack says of queries and durations added."""
        if self.query is not None and pack.query is not None:
            x_ED = x_ED + self.query(pack.query)
        if self.duration is not None and pack.duration is not None:
            x_ED = x_ED + self.duration(pack.duration)
        return x_ED
