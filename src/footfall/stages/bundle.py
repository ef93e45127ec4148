"""Stage `bundle`: weights and sequences -> the folder that is evaluated, released and served.

    data/weights, data/habits, data/sequences -> data/bundle (its files: `footfall.bundle`)

What is learnt here uses no test label. Item-to-item is fitted on events before the training cut. The weights of the fused policies are chosen on
validation labels, from histories before them, and what their scores are worth in purchases is learnt there too. Popularity and the recent purchases
that habits read count the days before the test window: those very arrays are evaluated, and they ship.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from footfall.arrays import REMAKE
from footfall.arrays.histories import read_analysed, read_sequences
from footfall.arrays.vocabularies import read_vocabulary
from footfall.arrays.windows import Targets, read_split, read_targets
from footfall.bundle import Content, write_bundle
from footfall.bundle_files import CONFIG, QUERIES_FILE, VOCABULARY_FILE, WEIGHTS, Fusion
from footfall.core.baselines import fit_item_to_item, popularity
from footfall.core.fusion import COMPONENTS, Choice, Grid, Pool, choose_fused, join, pool
from footfall.core.habit_lessons import recent_purchases
from footfall.core.parts import PartReader, Scorer
from footfall.core.policies import FUSED, FUSED_WITHOUT_MODEL
from footfall.core.quantised import quantise_items, restore_items
from footfall.core.sequences import Sequences
from footfall.errors import SourceError
from footfall.manifest import CACHE, check_manifest, read_manifest
from footfall.params import Params
from footfall.paths import Paths
from footfall.stages.chances import learn_chances
from footfall.stages.command import run_stage
from footfall.stages.habits import read_habits

_USERS_A_CHUNK = 256
_SECTIONS = ("split", "content", "model", "train", "heads", "habits", "baselines", "fusion", "bundle")


def make_bundle(paths: Paths, params: Params) -> str:
    """Write data/bundle and return its release id.

    Raises:
        SourceError: weights or sequences are missing or damaged, or nobody bought anything in the validation window.
    """
    check_manifest(paths.sequences, next_step=REMAKE)
    check_manifest(paths.weights, next_step=f"{CACHE}, or dvc repro --force train")
    check_manifest(paths.habits, next_step=f"{CACHE}, or dvc repro --force habits")
    split = read_split(paths.sequences)
    sequences = read_sequences(paths.sequences)
    items = len(read_vocabulary(paths.sequences))
    baselines = params.baselines
    neighbours = fit_item_to_item(sequences.before(split.train_end), items, baselines.neighbours)
    kept = params.bundle.item_table
    scorer, habits = _open_scorer(paths.weights, kept), read_habits(paths.habits, items)
    reader = PartReader(scorer, neighbours, baselines.half_life_days, baselines.history_events, 1.0, habits)
    fusion = choose_fusion(reader, sequences, read_targets(paths.sequences, "validation"), split.train_end, params)
    analysed = sequences.take(read_analysed(paths.sequences))
    before = popularity(sequences, items, split.train_end, baselines.popularity_days)
    chances = learn_chances(reader, fusion, before, analysed, split)
    counts = popularity(sequences, items, split.test_start, baselines.popularity_days)
    if habits is not None:
        habits = habits.with_recent(recent_purchases(sequences, items, split.test_start))
    facts = {
        "inputs": _digests(paths),
        "as_of": _iso(split.as_of),
        "train_end": _iso(split.train_end),
        "validation_end": _iso(split.test_start),
        "params": {name: dataclasses.asdict(getattr(params, name)) for name in _SECTIONS},
    }
    vocabulary, queries = paths.sequences / VOCABULARY_FILE, paths.sequences / QUERIES_FILE
    content = Content(counts, neighbours, fusion, habits, chances)
    known = queries if queries.exists() else None
    return write_bundle(paths.bundle, weights=paths.weights, vocabulary=vocabulary, content=content, facts=facts, item_table=kept, queries=known)


def choose_fusion(reader: PartReader, sequences: Sequences, targets: Targets, at: int, params: Params) -> Fusion:
    """The weights of both fused policies, chosen by ndcg on the validation labels that begin at `at`."""
    if not len(targets):
        raise SourceError("nobody bought anything in the validation window", where="targets_validation.parquet", next_step="ingest more events")
    candidates, weights = _validation_pool(reader, sequences, targets, at), params.fusion
    grid = Grid(weights.model_weights, weights.item_to_item_weights, weights.temperatures, reader.memories)
    fused, without = choose_fused(candidates, targets.offsets, targets.item_index, grid, params.evaluate.k)
    chosen = {FUSED: fused, FUSED_WITHOUT_MODEL: without}
    return Fusion(
        weights={name: choice.weights for name, choice in chosen.items()},
        validation={name: _said(choice, len(targets), params.evaluate.k) for name, choice in chosen.items()},
        half_life_days=params.baselines.half_life_days,
        history_events=params.baselines.history_events,
        temperature=chosen[FUSED].temperature,
    )


def _validation_pool(reader: PartReader, sequences: Sequences, targets: Targets, at: int) -> Pool:
    chunks = np.array_split(targets.users, -(-len(targets) // _USERS_A_CHUNK))
    return join([pool(reader.read(sequences.take(users), at, COMPONENTS).scores) for users in chunks])


def _said(choice: Choice, users: int, k: int) -> dict[str, float]:
    return {f"ndcg@{k}": choice.ndcg, "tried": choice.tried, "users": users}


def _open_scorer(weights: Path, item_table: str) -> Scorer:
    """The scorer of the weights as the bundle will keep them: fusion is chosen for what ships."""
    from safetensors.numpy import load_file

    from footfall.model.scorer import Scorer as ModelScorer

    try:
        config: dict[str, Any] = json.loads((weights / CONFIG).read_text(encoding="utf-8"))
        arrays: dict[str, Any] = load_file(weights / WEIGHTS)
        return ModelScorer(config, restore_items(quantise_items(arrays)) if item_table == "int8" else arrays, threads=1)
    except (OSError, ValueError) as error:
        raise SourceError("weights cannot be read", where=weights, found=str(error), next_step="dvc repro train") from error


def _digests(paths: Paths) -> dict[str, str]:
    """sha256 of every input file, by its path below data/: what the manifests say, which were checked before anything was read."""
    manifests = {folder: read_manifest(folder, next_step=CACHE) for folder in (paths.sequences, paths.weights, paths.habits)}
    return {f"{folder.name}/{name}": digest for folder, files in manifests.items() for name, digest in files.items()}


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat()


if __name__ == "__main__":
    sys.exit(run_stage(make_bundle))
