"""What a trained model can be made smaller by: its item table in other forms, a student that it teaches, and weights or blocks taken out.

A table's form is what is stored, what comes back when it is read, and how every item is scored with it. The repeat bonus, which touches a user's
own items alone and is the same in all of them, takes no part in the scoring here: histories are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from footfall.core.quantised import quantise_rows, restore_rows
from footfall.core.sequences import Sequences
from footfall.model.pretrained import SequenceModel
from footfall.model.scorer import Scorer

Float32 = npt.NDArray[np.float32]
Scan = Callable[[Tensor], Tensor]
"""(U, dim) states -> (U, items + 1) logits."""


@dataclass(frozen=True)
class TableForm:
    """How an item table is kept and scored.

    Attributes:
        stored: (rows, width) -> bytes.
        restored: a table -> what of it is read back, in float32: the vectors that histories are read with.
        scan: a table and a bias -> how all items are scored.
    """

    stored: Callable[[int, int], int]
    restored: Callable[[Tensor], Tensor]
    scan: Callable[[Tensor, Tensor], Scan]


def _plain(table: Tensor, bias: Tensor) -> Scan:
    return lambda states: torch.addmm(bias, states, table.T)


def _in_bfloat16(table: Tensor, bias: Tensor) -> Scan:
    narrow = table.bfloat16()
    return lambda states: (states.bfloat16() @ narrow.T).float() + bias


def _in_bytes(table: Tensor, bias: Tensor) -> Scan:
    """Products of bytes, summed in 32 bits: states are rounded as well, each by a scale of its own."""
    whole, scale = (torch.from_numpy(part) for part in quantise_rows(table.numpy()))

    def scan(states: Tensor) -> Tensor:
        rounded, by_state = (torch.from_numpy(part) for part in quantise_rows(states.numpy()))
        return torch.addcmul(bias, torch._int_mm(rounded, whole.T) * by_state[:, None], scale)

    return scan


def _factors(table: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(rows, rank) and (rank, width), whose product is the nearest there is of this rank."""
    values, vectors = torch.linalg.eigh(table.T @ table)
    basis = vectors[:, values.argsort(descending=True)[:rank]]
    return table @ basis, basis.T.contiguous()


def _low_rank(rank: int) -> TableForm:
    def restored(table: Tensor) -> Tensor:
        left, right = _factors(table, rank)
        return left @ right

    def scan(table: Tensor, bias: Tensor) -> Scan:
        left, right = _factors(table, rank)
        return lambda states: torch.addmm(bias, states @ right.T, left.T)

    return TableForm(lambda rows, width: 4 * rank * (rows + width), restored, scan)


def _in_int8(scan: Callable[[Tensor, Tensor], Scan]) -> TableForm:
    def restored(table: Tensor) -> Tensor:
        return torch.from_numpy(restore_rows(*quantise_rows(table.numpy())))

    return TableForm(lambda rows, width: rows * (width + 4), restored, scan)


FLOAT32 = TableForm(lambda rows, width: 4 * rows * width, lambda table: table, _plain)
TABLES: Mapping[str, Callable[[int], TableForm]] = {
    "float16 table, widened when read": lambda _: TableForm(lambda rows, width: 2 * rows * width, lambda table: table.half().float(), _plain),
    "bfloat16 table and products": lambda _: TableForm(lambda rows, width: 2 * rows * width, lambda table: table.bfloat16().float(), _in_bfloat16),
    "int8 table, widened when read": lambda _: _in_int8(_plain),
    "int8 table and products": lambda _: _in_int8(_in_bytes),
    "table of half the rank": lambda width: _low_rank(max(width // 2, 1)),
}
"""What it is called -> its form for a width."""


@dataclass(frozen=True)
class Smaller:
    """A model with its table in some form.

    Attributes:
        model: the whole of it in float32, in evaluation mode.
        form: of the item table.
        spared: bytes that other weights need less than in float32.
    """

    model: SequenceModel
    form: TableForm = FLOAT32
    spared: int = 0

    def stored(self, items: int) -> int:
        """Bytes of all weights, if the shop had so many items."""
        rows, shape = self.model.shape.items + 1, self.model.shape
        whole = sum(weight.numel() for name, weight in self.model.state_dict().items() if name != "item.weight")
        by_item = 1 + shape.channels  # its bias and what its repeats begin with
        rest: int = 4 * (whole + by_item * (items + 1 - rows)) - self.spared
        return rest + self.form.stored(items + 1, shape.dim)

    def scores(self) -> Callable[[Sequences], Float32]:
        """Histories -> (U, V) scores, as the benchmark's rankings take them."""
        model = deepcopy(self.model).eval()
        with torch.no_grad():
            model.item.weight.copy_(self.form.restored(self.model.item.weight.detach()))
        return _scores(Scorer.of(model), self.form.scan(self.model.item.weight.detach(), self.model.item_bias.detach()))

    def scores_among(self, items: int) -> Callable[[Sequences], Float32]:
        """The same among so many generated items; histories are read with the model's own."""
        table, bias = _generated(items, self.model.shape.dim)
        return _scores(Scorer.of(self.model), self.form.scan(table, bias))


@lru_cache(maxsize=2)
def _generated(items: int, width: int) -> tuple[Tensor, Tensor]:
    """One table for all who can share it: a million rows are a quarter of a gibibyte."""
    return torch.randn(items + 1, width, generator=torch.Generator().manual_seed(7)), torch.zeros(items + 1)


def _scores(scorer: Scorer, scan: Scan) -> Callable[[Sequences], Float32]:
    def scores(histories: Sequences) -> Float32:
        with torch.inference_mode():
            found: Float32 = scan(torch.from_numpy(scorer.vectors(histories))).numpy()[:, 1:]
        return found

    return scores


def without_last_block(model: SequenceModel) -> SequenceModel:
    """A copy with one block less.

    Raises:
        ValueError: there is none to spare.
    """
    if model.shape.blocks < 2:
        raise ValueError("a model of one block has none to spare")
    config = deepcopy(model.config)
    config.blocks = model.shape.blocks - 1
    made = SequenceModel(config)
    kept = made.state_dict().keys()
    made.load_state_dict({name: weight for name, weight in model.state_dict().items() if name in kept})
    made.eval()
    return made


def masks(model: SequenceModel, share: float) -> dict[str, Tensor]:
    """Where the blocks' matrices are kept when this share of each, its smallest weights, is taken out (Han et al. 2015)."""
    found = {}
    for name, part in model.named_modules():
        if name.startswith("layers.") and isinstance(part, nn.Linear):
            size = part.weight.detach().abs()
            least = size.flatten().kthvalue(max(round(share * size.numel()), 1)).values
            found[f"{name}.weight"] = size > least
    return found


def spared(kept: Mapping[str, Tensor]) -> int:
    """Bytes that matrices need less when a bit says of each weight whether it is there, and those that are there follow."""
    return sum(4 * int((~mask).sum()) - -(-mask.numel() // 8) for mask in kept.values())


def pruned(model: SequenceModel, kept: Mapping[str, Tensor]) -> Smaller:
    """A model whose weights outside the masks are zero already, as it would be stored."""
    return replace(Smaller(model), spared=spared(kept))
