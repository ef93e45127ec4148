"""A bundle whose model is the real network with random weights: what the service opens in production, only small and untrained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from footfall.bundle import Content, write_bundle
from footfall.bundle_files import Fusion
from footfall.core.baselines import ItemToItem
from footfall.core.sequence_model import HEADS, MODEL_TYPE, weight_shapes
from footfall.recommender import FUSED, FUSED_WITHOUT_MODEL
from footfall.tables import write_parquet

FUSION = Fusion(
    weights={
        FUSED: {"model": 0.1, "personal_frequency": 1.0, "item_to_item": 0.1},
        FUSED_WITHOUT_MODEL: {"model": 0.0, "personal_frequency": 1.0, "item_to_item": 0.1},
    },
    validation={},
    half_life_days=90.0,
    history_events=1000,
    temperature=2.0,
)
_SHAPE = {
    "model_type": MODEL_TYPE,
    "event_types": 7,
    "blocks": 2,
    "heads": 2,
    "channels": 6,
    "dropout": 0.1,
    "max_events": 1024,
    "queries": 0,
    "durations": 0,
}
MOMENTS = {"as_of": "2017-10-29T00:00:00+00:00", "train_end": "2017-10-01T00:00:00+00:00", "validation_end": "2017-10-15T00:00:00+00:00"}


def write_random_bundle(folder: Path, *, items: int, seed: int, dim: int = 64, item_table: str = "float32") -> str:
    """Write it, and return its release id; `item_table` as in `write_bundle`."""
    from safetensors.numpy import save_file

    config, random = {**_SHAPE, "items": items, "dim": dim}, np.random.default_rng(seed)
    weights = {name: (0.1 * random.standard_normal(shape)).astype(np.float32) for name, shape in weight_shapes(config).items()}
    for name, array in weights.items():
        if name.startswith(HEADS):
            array[:] = 0.0  # never taught
        elif "norm" in name or name == "repeat_type":
            array[:] = 1.0
    weights["repeat_weight"] -= np.float32(np.log(600.0))
    source = folder.with_name(f"{folder.name}-source")
    source.mkdir(parents=True)
    save_file(weights, source / "model.safetensors")
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    vocabulary = pa.table({"item_index": pa.array(range(1, items + 1), pa.int32()), "item_id": [f"item{n:05d}" for n in range(items)]})
    write_parquet(source / "vocabulary.parquet", vocabulary)
    neighbours = random.integers(0, items, (items, 20)).astype(np.int32)
    similarities = np.sort(random.random((items, 20)).astype(np.float32))[:, ::-1]
    content = Content(random.random(items), ItemToItem(neighbours, np.ascontiguousarray(similarities)), FUSION)
    facts = {"inputs": {}, "params": {}, **MOMENTS}
    return write_bundle(folder, weights=source, vocabulary=source / "vocabulary.parquet", content=content, facts=facts, item_table=item_table)
