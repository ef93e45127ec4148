"""Where item vectors begin: the leading singular vectors of who touched what.

Items that the same users touch start close together, which training would otherwise have to find out from nothing. On short histories this
halves the epochs that are needed; see docs/model.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from footfall.core.sequences import Sequences

_LENGTH = 0.5
"""Length of the vector of an item that is as well known as the median one."""
_ITERATIONS, _MORE = 6, 8


def item_vectors(history: Sequences, items: int, dim: int, seed: int) -> Tensor:
    """(items + 1, dim) vectors; row 0 and items that nobody touched are zero.

    The user-item matrix, each cell over the roots of its row's and its column's sums, has a trivial pair of singular vectors that says only how
    often; it is projected out. The next ones are turned at random, so that every dimension carries as much. Halko, Martinsson, Tropp 2011.
    """
    found = torch.zeros(items + 1, dim)
    cells = torch.from_numpy(history.owners * (items + 1) + history.item_index)[torch.from_numpy(history.item_index > 0)].unique()
    user, item = cells // (items + 1), cells % (items + 1)
    rank = min(dim, len(history) - 1, items - 1)
    if rank < 1 or not len(cells):
        return found
    per_user, per_item = torch.bincount(user).float(), torch.bincount(item, minlength=items + 1).float()
    value = (per_user[user] * per_item[item]).rsqrt()
    matrix = torch.sparse_coo_tensor(torch.stack([item, user]), value, (items + 1, len(history)), check_invariants=True).coalesce()
    draw = torch.Generator().manual_seed(seed)
    vectors = _leading(matrix, per_item.sqrt(), rank, draw)
    vectors = vectors @ torch.linalg.qr(torch.randn(dim, rank, generator=draw)).Q.T
    length = vectors.norm(dim=1, keepdim=True)
    median = length[per_item > 0].median()
    known = per_item > 0
    found[known] = _LENGTH * vectors[known] / torch.maximum(length[known], median).clamp(min=1e-9)
    return found


def _leading(matrix: Tensor, trivial: Tensor, rank: int, draw: torch.Generator) -> Tensor:
    """(rows, rank) left singular vectors times the roots of their values, orthogonal to `trivial`, by randomised subspace iteration."""
    across, trivial = matrix.T.coalesce(), (trivial / trivial.norm())[:, None]

    def orthonormal(basis: Tensor) -> Tensor:
        found: Tensor = torch.linalg.qr(basis - trivial @ (trivial.T @ basis)).Q
        return found

    basis = orthonormal(torch.sparse.mm(matrix, torch.randn(matrix.shape[1], min(rank + _MORE, *matrix.shape), generator=draw)))
    for _ in range(_ITERATIONS):
        basis = orthonormal(torch.sparse.mm(matrix, torch.sparse.mm(across, basis)))
    left, values, _ = torch.linalg.svd(torch.sparse.mm(across, basis).T, full_matrices=False)
    vectors: Tensor = (basis @ left)[:, :rank] * values[:rank].sqrt()
    return vectors
