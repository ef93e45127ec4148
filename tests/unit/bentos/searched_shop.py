"""A shop whose baskets share a moment, with searches, durations and habits, through the stages; only the network's weights are drawn, not learnt."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from footfall.arrays.vocabularies import read_queries, read_vocabulary
from footfall.bundle_files import CONFIG, WEIGHTS
from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.core.sequence_model import HEADS, MODEL_TYPE, weight_shapes
from footfall.core.signals import DURATION_CODES
from footfall.manifest import write_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.stages.bundle import make_bundle
from footfall.stages.habits import make_habits
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet
from tests.unit.footfall.small_shop import AS_OF, DAY_US, small_params

AS_OF_US = round(AS_OF.timestamp()) * 1_000_000
ITEMS = [f"item-{number:03d}" for number in range(200)]
WORDS = ["tea", "green tea", "soap", "bread", "cheese", "oil", "rice", "salt"]
HISTORY_EVENTS, MODEL_EVENTS = 100, 60
"""Fewer than many users have, and the model reads fewer still: both cuts fall into baskets."""


def searched_params(checkout: Path) -> Params:
    """Habits that are learnt in a moment, and a fused policy of which every part counts."""
    params = small_params(checkout)
    return dataclasses.replace(
        params,
        habits=dataclasses.replace(params.habits, lessons=600, width=8, learning_rate=0.01),
        baselines=dataclasses.replace(params.baselines, neighbours=20, history_events=HISTORY_EVENTS),
        fusion=dataclasses.replace(params.fusion, temperatures=[2.0], model_weights=[0.4], item_to_item_weights=[0.4]),
    )


def make_searched_shop(root: Path, params: Params, users: int) -> Paths:
    """Tables, sequences, weights, habits and the bundle."""
    paths = Paths(root)
    _write_tables(paths.tables, users)
    make_sequences(paths, params)
    _write_weights(paths)
    make_habits(paths, params)
    make_bundle(paths, params)
    return paths


def _write_tables(folder: Path, users: int) -> None:
    random = np.random.default_rng(31)
    ids = [f"user-{number:04d}" for number in range(users)]
    rows = [row for user in ids for row in _weeks(user, random)]
    names = random.permutation(len(rows)).tolist()  # of a basket, the order of the ids says nothing
    table = [{C.EVENT_ID: f"e{name:07d}", C.RECEIVED_AT: row[C.OCCURRED_AT], C.ORIGIN: "shop", **row} for name, row in zip(names, rows, strict=True)]
    columns = {name: [row.get(name) for row in table] for name in EVENTS.schema.names}
    write_parquet(folder / f"{EVENTS.name}.parquet", EVENTS.sort(EVENTS.check(pa.table(columns, EVENTS.schema))))
    sold = len(ITEMS)
    catalogue = {"item_id": ITEMS, "title": ITEMS, "category_path": [f"all > {number % 9}" for number in range(sold)], "attributes": ["{}"] * sold}
    write_parquet(
        folder / f"{CATALOGUE.name}.parquet", CATALOGUE.check(pa.table(catalogue | {"available": [True] * sold, "recommendable": [True] * sold}))
    )
    seen = pa.array([0] * users, pa.timestamp("us", tz="UTC"))
    people = {"user_id": ids, "attributes": ["{}"] * users, "consent": ['{"personalise": true}'] * users, "first_seen_at": seen}
    write_parquet(folder / f"{USERS.name}.parquet", USERS.check(pa.table(people)))
    write_manifest(folder)


def _weeks(user: str, random: np.random.Generator) -> list[dict[str, Any]]:
    """A search and views at one moment, then what goes into the cart and is bought at another: each own item every third week, and others."""
    own = random.choice(len(ITEMS), 9, replace=False)
    rows = []
    for week in range(int(random.integers(2, 40)), 0, -1):
        bought_at = AS_OF_US - week * 7 * DAY_US + int(random.integers(1, 6 * 86_400)) * 1_000_000
        looked_at = bought_at - int(random.integers(1, 600)) * 1_000_000
        bought = np.union1d(own[week % 3 :: 3], random.integers(0, len(ITEMS), random.integers(1, 4)))
        word = WORDS[int(random.integers(0, len(WORDS)))]
        rows.append({C.EVENT_TYPE: "search", C.OCCURRED_AT: looked_at, C.QUERY: word.upper() if week % 3 == 0 else word})
        for item in bought[:2].tolist():
            rows.append({C.EVENT_TYPE: "view", C.OCCURRED_AT: looked_at, C.ITEM_ID: ITEMS[item], C.DURATION_S: float(random.integers(1, 300))})
            rows.append({C.EVENT_TYPE: "cart", C.OCCURRED_AT: bought_at, C.ITEM_ID: ITEMS[item]})
        rows += [{C.EVENT_TYPE: "purchase", C.OCCURRED_AT: bought_at, C.ITEM_ID: ITEMS[item]} for item in bought.tolist()]
        if week % 5 == 0:
            rows.append({C.EVENT_TYPE: "purchase", C.OCCURRED_AT: bought_at, C.ITEM_ID: f"unknown-{user}"})
    return [{C.USER_ID: user, **row} for row in rows]


def _write_weights(paths: Paths) -> None:
    known = {"items": len(read_vocabulary(paths.sequences)), "queries": len(read_queries(paths.sequences) or ()), "durations": DURATION_CODES}
    shape = {
        "model_type": MODEL_TYPE,
        "event_types": 7,
        "dim": 32,
        "blocks": 2,
        "heads": 2,
        "channels": 6,
        "dropout": 0.1,
        "max_events": MODEL_EVENTS,
    }
    config, random = shape | known, np.random.default_rng(37)
    weights = {name: (0.1 * random.standard_normal(size)).astype(np.float32) for name, size in weight_shapes(config).items()}
    for name, array in weights.items():
        if name.startswith(HEADS):
            array[:] = 0.0  # never taught
        elif "norm" in name or name == "repeat_type":
            array[:] = 1.0
    paths.weights.mkdir(parents=True)
    save_file(weights, paths.weights / WEIGHTS)
    (paths.weights / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    write_manifest(paths.weights)
