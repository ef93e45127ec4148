"""The item table in a byte a number: each row is whole numbers from -127 to 127 times a scale of its own.

Symmetric, so that zero stays zero, and by row, so that a popular item's long vector does not coarsen the others: no number moves by more than
half its row's scale. After Jacob et al. 2018 (arXiv 1712.05877), without zero points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
Weights = Mapping[str, npt.NDArray[Any]]

ITEM_TABLE = "item.weight"
"""Name of the item vectors among a model's weights."""
SCALE = f"{ITEM_TABLE}.scale"
"""Name of its rows' scales, where it is kept in bytes."""
_LARGEST = 127


def quantise_rows(table: Float32) -> tuple[Int8, Float32]:
    """(N, D) numbers as (N, D) int8 and (N,) scales; `restore_rows` gives them back to within half a scale."""
    scale = (np.abs(table).max(axis=1, initial=0.0) / _LARGEST).astype(np.float32)
    # below the smallest normal number a quotient would not be what it says; such a row is as good as zero
    scale[scale < np.finfo(np.float32).tiny] = 0.0
    whole = np.rint(np.divide(table, scale[:, None], out=np.zeros(table.shape, np.float32), where=scale[:, None] > 0))
    return np.clip(whole, -_LARGEST, _LARGEST).astype(np.int8), scale


def restore_rows(whole: Int8, scale: Float32) -> Float32:
    """The numbers that `quantise_rows` took, rounded."""
    return np.asarray(whole * scale[:, None], np.float32)


def quantise_items(weights: Weights) -> dict[str, npt.NDArray[Any]]:
    """A model's weights with the item table in bytes, and its scales beside it.

    Raises:
        ValueError: there is no table of float32.
    """
    table = weights.get(ITEM_TABLE)
    if table is None or table.ndim != 2 or table.dtype != np.float32:
        raise ValueError(f"{ITEM_TABLE} is {_described(table)}, expected float32 in rows")
    whole, scale = quantise_rows(table)
    return {**weights, ITEM_TABLE: whole, SCALE: scale}


def restore_items(weights: Weights) -> dict[str, npt.NDArray[Any]]:
    """A model's weights in float32, whether or not the item table is kept in bytes.

    Raises:
        ValueError: bytes without scales, scales without bytes, or not one scale a row.
    """
    rest = dict(weights)
    table, scale = rest.get(ITEM_TABLE), rest.pop(SCALE, None)
    in_bytes = table is not None and table.dtype == np.int8
    if not in_bytes and scale is None:
        return rest
    if table is None or scale is None or not in_bytes or table.ndim != 2 or scale.dtype != np.float32 or scale.shape != table.shape[:1]:
        raise ValueError(f"{ITEM_TABLE} is {_described(table)} and its scale {_described(scale)}, expected int8 rows and a float32 for each")
    rest[ITEM_TABLE] = restore_rows(table, scale)
    return rest


def _described(array: npt.NDArray[Any] | None) -> str:
    return "missing" if array is None else f"{array.dtype.name} {array.shape}"
