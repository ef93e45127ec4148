"""How well the sequence model ranks on any file of sequences, beside what needs no gradient: every figure on full rankings.

    python -m benchmarks quality --sequences FILE [--seeds 5] [--out JSON]

Settings (the model's and the fusion's) are chosen on validation targets alone, with the first seed, and nothing depends on the file's name. No row is
refitted on validation but those that say so. Without a file a generated one stands in, which says nothing about quality.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.leave_one_out import Fold, LeaveOneOut, Scores, ndcg, ranks, split
from benchmarks.race import machine, versions
from benchmarks.sequences_text import read_sequences_text
from footfall.contracts import EVENT_TYPES
from footfall.core.closed_form import fit_cosine, fit_ease
from footfall.core.metrics import at_cutoffs, mean_figures
from footfall.core.sequences import Sequences
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from footfall.params import Train
from footfall.tables import write_text

MODEL, EASE, COSINE, POPULARITY = "transformer", "ease", "cosine", "popularity"
CUT = 10
DECAY, REGULARISATION = 0.7, 100.0
DENSE_ITEMS = 30_000
"""Above it nothing dense of items x items is fitted."""
WEIGHTS = {EASE: (0.0, 3.0, 6.0, 12.0, 24.0), COSINE: (0.0, 2.0, 4.0, 8.0)}
TRAIN = Train(
    seed=0,
    threads=2,
    epochs=16,
    tokens_per_step=2048,
    negatives=0,
    learning_rate=0.004,
    weight_decay=0.0,
    warmup_share=0.02,
    basket_power=0.0,
    repeat_pace=1.0,
    spectral_start=True,
    average=0.995,
    patience=0,
)
SHAPES = ({"dim": 64, "blocks": 2, "heads": 2, "dropout": 0.5}, {"dim": 64, "blocks": 2, "heads": 2, "dropout": 0.2})
"""From which validation chooses."""
_COMMON = {"event_types": len(EVENT_TYPES), "channels": 1, "max_events": 50}


@dataclass(frozen=True)
class Fitted:
    """A trained model and how good it was on validation after each epoch."""

    scores: Scores
    validation: list[float]
    seconds: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this race alone."""
    parser.add_argument("--sequences", type=Path, required=True, help="a file in the S3-Rec text form, perhaps .gz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to write the figures; default reports/bench/quality.json")


def run(root: Path, options: argparse.Namespace) -> Path:
    """Choose, train with every seed, rank, print and write."""
    parts = split(read_sequences_text(options.sequences))
    closed = closed_forms(parts.train, parts.items)
    shape, first = choose_shape(parts)
    weights = choose_weights(parts.validation, closed | {MODEL: first.scores})
    mixes = {name: {name: 1.0} for name in closed} | {MODEL: {MODEL: 1.0}, "fused": weights}
    seeds = []
    for seed in range(options.seeds):
        fitted = first if seed == 0 else fit(parts.train, parts.validation, parts.items, shape, replace(TRAIN, seed=seed))
        found = {masked: ranks(parts.test, closed | {MODEL: fitted.scores}, mixes, masked=masked) for masked in (True, False)}
        seeds.append(
            {_said(masked): {name: mean_figures(at_cutoffs(rows)) for name, rows in by_policy.items()} for masked, by_policy in found.items()}
        )
        sys.stdout.write(f"seed {seed}: {_line(seeds[-1]['masked'])}\n")
        sys.stdout.flush()
    mean = _over(seeds, np.mean)
    document = {
        "name": "quality",
        "versions": versions(["torch", "transformers", "numpy"]),
        "machine": machine(),
        "file": {"users": len(parts.test.history), "items": parts.items, "events": int(parts.test.history.lengths.sum()) + len(parts.test.targets)},
        "chosen_on_validation": {"shape": shape, "weights": weights, "validation_ndcg@10_by_epoch": first.validation, "seconds": first.seconds},
        "protocol": "leave one out, full ranking, test = last, no refit on validation",
        "seeds": seeds,
        "mean": mean,
        "deviation": _over(seeds, np.std),
    }
    path = options.out or root / "reports" / "bench" / "quality.json"
    write_text(path, json.dumps(document, indent=1) + "\n")
    for said, policies in mean.items():
        for policy, means in policies.items():
            sys.stdout.write(
                f"{said:<9} {policy:<12} " + "  ".join(f"{name} {means[name]:.4f}" for name in (f"ndcg@{CUT}", f"hit_rate@{CUT}")) + "\n"
            )
    return path


def closed_forms(history: Sequences, items: int) -> dict[str, Scores]:
    """What needs no gradient."""
    counts = np.bincount(history.item_index, minlength=items + 1)[1:].astype(np.float32)
    found: dict[str, Scores] = {POPULARITY: lambda asked: np.tile(counts, (len(asked), 1))}
    if items <= DENSE_ITEMS:
        found |= {EASE: fit_ease(history, items, REGULARISATION, DECAY).scores, COSINE: fit_cosine(history, items, DECAY).scores}
    return found


def fit(history: Sequences, validation: Fold, items: int, shape: Mapping[str, Any], params: Train) -> Fitted:
    """Train one model; the epoch with the best validation ndcg@10 is kept."""
    config = SequenceConfig(items=items, **shape, **_COMMON)

    def on_epoch(model: SequenceModel) -> float:
        found = ranks(validation, {MODEL: Scorer.of(model).scores}, {MODEL: {MODEL: 1.0}}, masked=True)
        return ndcg(found[MODEL], CUT)

    begun = time.perf_counter()
    trained = train(history, np.iinfo(np.int64).max, config, params, on_epoch=on_epoch)
    return Fitted(_scores_of(trained.model), trained.figures, time.perf_counter() - begun)


def _scores_of(model: SequenceModel) -> Scores:
    """Logits less their logarithmic sum: parts are added to log-probabilities."""
    scorer = Scorer.of(model)

    def scores(history: Sequences) -> Any:
        logits = scorer.scores(history)
        top = logits.max(axis=1, keepdims=True)
        return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))

    return scores


def choose_shape(parts: LeaveOneOut) -> tuple[dict[str, Any], Fitted]:
    """The shape with the best validation ndcg@10, and its model of the first seed."""
    fitted = [(shape, fit(parts.train, parts.validation, parts.items, shape, TRAIN)) for shape in SHAPES]
    return max(fitted, key=lambda one: max(one[1].validation))


def choose_weights(validation: Fold, parts: Mapping[str, Scores]) -> dict[str, float]:
    """The fusion with the best masked validation ndcg@10; the transformer has weight 1, and ties go to the smaller weights."""
    there = [name for name in WEIGHTS if name in parts]
    mixes = {str(values): {MODEL: 1.0, **dict(zip(there, values, strict=True))} for values in itertools.product(*(WEIGHTS[name] for name in there))}
    found = ranks(validation, parts, mixes, masked=True)
    return mixes[max(mixes, key=lambda name: ndcg(found[name], CUT))]


def _said(masked: bool) -> str:
    return "masked" if masked else "unmasked"


def _line(policies: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(f"{name} {means[f'ndcg@{CUT}']:.4f}" for name, means in policies.items())


def _over(seeds: list[dict[str, Any]], of: Any) -> dict[str, Any]:
    return {
        said: {
            policy: {name: round(float(of([seed[said][policy][name] for seed in seeds])), 6) for name in means} for policy, means in policies.items()
        }
        for said, policies in seeds[0].items()
    }
