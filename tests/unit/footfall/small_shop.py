"""A shop small enough to reason about: 60 users with habits, 40 items, real tables, real arrays and real bundles; only the scorer is a table."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from benchmarks.random_bundle import FUSION
from footfall.arrays.vocabularies import read_vocabulary, write_queries
from footfall.bundle import Content, write_bundle
from footfall.contracts import CATALOGUE, EVENTS, USERS
from footfall.core.baselines import ItemToItem
from footfall.core.sequences import Sequences
from footfall.core.signals import DURATION_CODES
from footfall.core.vocabulary import Vocabulary
from footfall.manifest import write_manifest
from footfall.params import Params, load_params
from footfall.paths import Paths
from footfall.stages.habits import write_habits
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet

DAY_US = 86_400_000_000
AS_OF = datetime(2020, 6, 1, tzinfo=UTC)
ITEMS = [f"item-{number:02d}" for number in range(40)]
USER_IDS = [f"user-{number:02d}" for number in range(60)]


class TableScorer:
    """Stands in for the transformer: one logit an item, the same for everybody; zeros for an empty history."""

    def __init__(self, config: dict[str, Any], weights: Mapping[str, np.ndarray], threads: int | None = None) -> None:
        if weights["logits"].shape != (config["items"],):
            raise ValueError(f"logits have shape {weights['logits'].shape}, the configuration says {config['items']}")
        self._logits = weights["logits"]

    def scores(self, sequences: Sequences) -> np.ndarray:
        return np.where(sequences.lengths[:, None] > 0, self._logits, 0).astype(np.float32)


def scorer_module() -> types.ModuleType:
    """What `footfall.model.scorer` is replaced by in `sys.modules`."""
    module = types.ModuleType("footfall.model.scorer")
    module.Scorer = TableScorer  # type: ignore[attr-defined]
    return module


def small_params(checkout: Path) -> Params:
    params = load_params(checkout / "params.yaml")
    return dataclasses.replace(
        params,
        data=dataclasses.replace(params.data, as_of=AS_OF),
        split=dataclasses.replace(params.split, vocabulary_min_count=3),
        baselines=dataclasses.replace(params.baselines, neighbours=5),
        evaluate=dataclasses.replace(params.evaluate, bootstrap=200, cold_user_events=40, long_history_events=60),
        release=dataclasses.replace(params.release, min_slice_users=10),
    )


def write_tables(folder: Path, seed: int = 1) -> None:
    """Twenty weeks to AS_OF: each user buys four habits and one surprise a week, and looks at something first."""
    random = np.random.default_rng(seed)
    rows = []
    for user in USER_IDS:
        habits = random.choice(len(ITEMS) - 1, 4, replace=False)
        for week in range(int(random.integers(6, 20)), 0, -1):
            moment = round(AS_OF.timestamp() * 1e6) - week * 7 * DAY_US + int(random.integers(1, 6 * 86400)) * 1_000_000
            basket = f"{user}-{week:02d}"
            bought = sorted({*habits.tolist(), int(random.integers(0, len(ITEMS)))})
            rows.append((f"{basket}-view", user, basket, None, "search", moment - 60_000_000))
            rows += [(f"{basket}-{item:02d}", user, basket, ITEMS[item], "purchase", moment) for item in bought]
    names = ("event_id", "user_id", "session_id", "item_id", "event_type", "occurred_at")
    columns: dict[str, Any] = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    columns |= {"received_at": columns["occurred_at"], "origin": ["shop"] * len(rows)}
    write_parquet(folder / "events.parquet", EVENTS.sort(EVENTS.check(pa.table(columns))))
    catalogue = {"item_id": ITEMS, "title": ITEMS, "category_path": ["all"] * 40, "attributes": ["{}"] * 40, "available": [True] * 40}
    write_parquet(folder / "catalogue.parquet", CATALOGUE.check(pa.table(catalogue | {"recommendable": [item != ITEMS[-1] for item in ITEMS]})))
    consent = [json.dumps({"personalise": user != USER_IDS[-1]}) for user in USER_IDS]
    users = {"user_id": USER_IDS, "attributes": ["{}"] * 60, "consent": consent, "first_seen_at": pa.array([0] * 60, pa.timestamp("us", tz="UTC"))}
    write_parquet(folder / "users.parquet", USERS.check(pa.table(users)))
    write_manifest(folder)


def write_weights(folder: Path, logits: np.ndarray, config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {"items": len(logits)}), encoding="utf-8")
    save_file({"logits": logits.astype(np.float32)}, folder / "model.safetensors")
    write_manifest(folder)
    return folder


def make_shop(root: Path, params: Params, seed: int = 1) -> Paths:
    """A workspace with data/tables, data/sequences, data/weights and a data/habits in which nothing was learnt."""
    paths = Paths(root)
    write_tables(paths.tables, seed)
    make_sequences(paths, params)
    write_weights(paths.weights, np.random.default_rng(0).normal(size=len(read_vocabulary(paths.sequences))))
    write_habits(paths.habits, None)
    return paths


def make_bundle_by_hand(
    folder: Path,
    *,
    items: int = 5,
    logits: np.ndarray | None = None,
    config: dict[str, Any] | None = None,
    content: Content | None = None,
    queries: tuple[str, ...] = (),
    **facts: Any,
) -> Path:
    """A bundle of `items` items a, b, c, ... whose every number is known; with `queries` its model knows these, and durations too."""
    source = folder.parent / f"{folder.name}-source"
    shape = {"items": items, "queries": len(queries), "durations": DURATION_CODES} if queries else None
    write_weights(source, np.zeros(items) if logits is None else logits, config or shape)
    ids = [chr(ord("a") + number) for number in range(items)]
    write_parquet(source / "vocabulary.parquet", pa.table({"item_index": pa.array(range(1, items + 1), pa.int32()), "item_id": ids}))
    around = np.roll(np.arange(items, dtype=np.int32), -1)[:, None]
    plain = Content(np.arange(items, 0, -1, dtype=np.float64), ItemToItem(around, np.full((items, 1), 0.5, np.float32)), FUSION)
    moments = {"as_of": "2020-06-01T00:00:00+00:00", "train_end": "2020-05-04T00:00:00+00:00", "validation_end": "2020-05-18T00:00:00+00:00"}
    known = {"inputs": {}, "params": {}} | moments | facts
    if queries:
        write_queries(source, Vocabulary(queries))
    typed = source / "queries.parquet" if queries else None
    write_bundle(folder, weights=source, vocabulary=source / "vocabulary.parquet", content=content or plain, facts=known, queries=typed)
    return folder


def use_table_scorer(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "footfall.model.scorer", scorer_module())
