"""What every softmax over the catalogue works on: its inputs, and the slopes that it finds while its logits are at hand."""

from __future__ import annotations

import torch
from torch import Tensor

from footfall.model.packs import Pack, Stack

ROWS = 96
"""Rows of float32 logits that are held at once on a CPU, twice as many in half the width: they stay in its cache for catalogues of ten thousand
items. From about 120 float32 rows on torch's product took twice as long a row on two threads (AVX-512, measured alone)."""
_NUMBERS_ON_GPU = 1 << 25
"""Logits that are held at once on a GPU."""
_SAFE = 80.0
"""Logits below this need no shift before the exponential of a float32."""


class Slopes:
    """Log of each row's sum of exponentials, and the slopes of its weighted sum over rows; what the targets take off comes later.

    Attributes:
        rows: (M, dim + 1) states, and a one.
        table: (V + 1, dim + 1) items, and their bias.
        bonus: flat, over the pack's cells.
        pack: labels, weights and candidates.
        shift: whether each row's largest logit is to be taken off before its exponential.
        log_mass: (M, 1).
        d_rows, d_table, d_bonus: slopes, each in the shape of what it belongs to.
    """

    def __init__(self, rows: Tensor, table: Tensor, bonus: Tensor, pack: Pack) -> None:
        """Nothing is computed yet."""
        self.rows, self.table, self.bonus, self.pack = rows, table, bonus, pack
        # to ask a GPU whether the shift matters costs more than to do it
        self.shift = rows.is_cuda or bool(rows.norm(dim=1).max() * table.norm(dim=1).max() + bonus.max() > _SAFE)
        self.log_mass = rows.new_zeros(len(rows), 1)
        self.d_rows, self.d_table, self.d_bonus = torch.zeros_like(rows), torch.zeros_like(table), torch.zeros_like(bonus)

    def rows_at_once(self, kind: torch.dtype) -> int:
        """Rows of logits of this type that are held at once."""
        if self.rows.is_cuda:
            return max(_NUMBERS_ON_GPU // len(self.table), ROWS)
        return max(ROWS * torch.float32.itemsize // kind.itemsize, 1)

    def candidates(self, part: Stack) -> Tensor:
        """(B, D) candidates of a stack's users."""
        return self.pack.candidates[part.candidates].view(part.users, part.distinct)


def grid(flat: Tensor, part: Stack) -> Tensor:
    """(B x T, D) view of one stack's cells."""
    return flat[part.grid].view(part.users * part.moments, part.distinct)
