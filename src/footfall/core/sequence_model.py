"""What the sequence model is, whoever computes it: its name, its tables over time, and the shapes of its weights.

`model.network` trains it in torch, `core.streaming` reads one user with it in numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from footfall.core.outlook import SPANS
from footfall.core.rhythm import FIGURES
from footfall.core.sequences import Int64

MODEL_TYPE: Final = "footfall-sequence"
"""What config.json calls it."""
DISTANCE_BUCKETS: Final = 64
GAP_BUCKETS: Final = 64
HOUR_US: Final = 3_600_000_000
_GAP_STEPS = 4  # time-gap buckets per doubling: a week is told from ten days; 64 buckets reach 6 years
GAP_BOUNDS_US: Int64 = np.floor((2.0 ** (np.arange(GAP_BUCKETS - 1) / _GAP_STEPS) - 1.0) * HOUR_US).astype(np.int64)
"""The longest gap of each bucket but the last, microseconds: whole numbers, so that every device finds the same bucket."""

HEADS: Final = "heads."
"""How the names of the weights of the heads on the states begin."""
SIZES: Final = ("items", "event_types", "dim", "blocks", "heads", "channels", "max_events")
"""What config.json must say."""


def weight_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape, for a configuration; those of the heads too, which older models do not have."""
    items, types, dim, channels = (int(config[name]) for name in ("items", "event_types", "dim", "channels"))
    figures, answers, over_time = len(FIGURES), types + SPANS, int(config["heads"]) + channels
    found: dict[str, tuple[int, ...]] = {
        "item.weight": (items + 1, dim),
        "item_bias": (items + 1,),
        "event_type.weight": (types, dim),
        "gap_before.weight": (GAP_BUCKETS, dim),
        "distance.weight": (DISTANCE_BUCKETS, over_time),
        "gap.weight": (GAP_BUCKETS, over_time),
        "norm.weight": (dim,),
        "repeat_type": (types,),
        "repeat_weight": (channels,),
        "repeat_state.weight": (channels, dim),
        "repeat_item.weight": (items + 1, channels),
        "heads.mean": (figures,),
        "heads.scale": (figures,),
        "heads.inner": (dim, dim + figures),
        "heads.inner_bias": (dim,),
        "heads.outer": (answers, dim),
        "heads.direct": (answers, dim + figures),
        "heads.bias": (answers,),
    }
    block = {"norm_attention.weight": (dim,), "norm_feed.weight": (dim,), "qkv.weight": (3 * dim, dim), "out.weight": (dim, dim)}
    block |= {f"gate_{part}.weight": (dim, dim) for part in ("attention", "feed")} | {f"gate_{part}.bias": (dim,) for part in ("attention", "feed")}
    block |= {"feed_in.weight": (4 * dim, dim), "feed_out.weight": (dim, 2 * dim)}
    for number in range(int(config["blocks"])):
        found |= {f"layers.{number}.{name}": shape for name, shape in block.items()}
    if config.get("queries"):
        found["signals.query.weight"] = (int(config["queries"]) + 1, dim)
    if config.get("durations"):
        found["signals.duration.weight"] = (int(config["durations"]), dim)
    return found


def check_weights(config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Nothing, where they fit.

    Raises:
        ValueError: a foreign configuration, or weights that do not fit it.
    """
    if config.get("model_type") != MODEL_TYPE:
        raise ValueError(f"model_type is {config.get('model_type')!r}, not {MODEL_TYPE!r}")
    if absent := [name for name in SIZES if not isinstance(config.get(name), int) or config[name] < 0]:
        raise ValueError(f"configuration lacks {', '.join(absent)}")
    if not 1 <= config["blocks"] <= len(weights):  # before their names are listed
        raise ValueError(f"configuration has {config['blocks']} blocks, {len(weights)} weights are there")
    expected, found = weight_shapes(config), {name: tuple(array.shape) for name, array in weights.items()}
    if not any(name.startswith(HEADS) for name in found):  # a model from before there were heads
        expected = {name: shape for name, shape in expected.items() if not name.startswith(HEADS)}
    if wrong := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        raise ValueError(f"weight {wrong[0]} has shape {found.get(wrong[0])}, expected {expected.get(wrong[0])}")
