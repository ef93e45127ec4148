"""How well the sequence model ranks on any file of sequences, beside what needs no gradient: every figure on full rankings.

    python -m benchmarks quality --sequences FILE [--seeds 5] [--refit-seeds 1] [--out JSON]

Settings (the model's and the fusion's) are chosen on validation targets alone, with the first seed, and nothing depends on the file's name. No row is
refitted on validation but those that say so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import CUT, RESAMPLING, lines_of, table
from benchmarks.leave_one_out import Fold, LeaveOneOut, Scores, ndcg, ranks, split
from benchmarks.policies import COSINE, EASE, closed_forms, item_counts
from benchmarks.protocols import MASKED, UNMASKED, gather, report
from benchmarks.race import machine, versions
from benchmarks.sequences_text import read_sequences_text
from footfall.contracts import EVENT_TYPES
from footfall.core.figures import with_intervals
from footfall.core.sequences import Sequences
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from footfall.params import Train
from footfall.tables import write_text

MODEL, FUSED, FUSED_WITHOUT_MODEL = "transformer", "fused", "fused_without_transformer"
NO_TIMES = "needs times, which a file in the S3-Rec text form has not: python -m benchmarks time-split --sequences FILE.parquet"
WEIGHTS = {EASE: (0.0, 3.0, 6.0, 12.0, 24.0), COSINE: (0.0, 2.0, 4.0, 8.0)}
TRAIN = Train(
    seed=0,
    threads=2,
    epochs=20,
    tokens_per_step=2048,
    negatives=0,
    learning_rate=0.004,
    weight_decay=1.0,
    warmup_share=0.02,
    basket_power=0.0,
    repeat_pace=1.0,
    spectral_start=True,
    average=0.995,
    patience=4,
)
SHAPES = ({"dim": 96, "blocks": 2, "heads": 2, "dropout": 0.5}, {"dim": 96, "blocks": 2, "heads": 2, "dropout": 0.2})
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
    parser.add_argument("--refit-seeds", type=int, default=1, help="seeds of the row that is refitted on validation; 0 leaves it out")
    parser.add_argument("--out", type=Path, help="where to write the figures; default reports/bench/quality.json")


def run(root: Path, options: argparse.Namespace) -> Path:
    """Choose, train with every seed, rank, print and write."""
    parts = split(read_sequences_text(options.sequences))
    closed = closed_forms(parts.train, parts.items)
    shape, first = choose_shape(parts)
    weights = choose_weights(parts.validation, closed | {MODEL: first.scores})
    mixes = policies(closed, weights)
    gathered = gather(parts.test, _seeds(parts, closed, shape, first, options.seeds), mixes, MODEL)
    document = {
        "name": "quality",
        "versions": versions(["torch", "transformers", "numpy"]),
        "machine": machine(),
        "file": {"users": len(parts.test.history), "items": parts.items, "events": int(parts.test.history.lengths.sum()) + len(parts.test.targets)},
        "chosen_on_validation": {"shape": shape, "weights": weights, "validation_ndcg@10_by_epoch": first.validation, "seconds": first.seconds},
        "protocol": "leave one out, full ranking, test = last, no refit on validation; intervals resample users",
        "other_protocols": {"time split": NO_TIMES},
        **report(gathered, parts.test, item_counts(parts.train, parts.items), MODEL, FUSED),
    }
    for said in (MASKED, UNMASKED):
        sys.stdout.writelines(f"{line}\n" for line in (f"\n{said}", *lines_of(document[said])))
    document["refit"] = refit(parts, shape, mixes, first, options.refit_seeds)
    sys.stdout.write(f"\ntime split: {NO_TIMES}\n")
    path = options.out or root / "reports" / "bench" / "quality.json"
    write_text(path, json.dumps(document, indent=1) + "\n")
    return path


def policies(closed: Mapping[str, Scores], weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Every part alone, the fused policy, and what is left of it without the transformer."""
    alone = {name: {name: 1.0} for name in (*closed, MODEL)}
    rest = {name: weight for name, weight in weights.items() if name != MODEL and weight}
    return alone | ({FUSED_WITHOUT_MODEL: rest} if rest else {}) | {FUSED: dict(weights)}


def _seeds(parts: LeaveOneOut, closed: Mapping[str, Scores], shape: Mapping[str, Any], first: Fitted, seeds: int) -> Iterator[dict[str, Scores]]:
    """The parts of each seed; the first is trained already."""
    for seed in range(seeds):
        fitted = first if seed == 0 else fit(parts.train, parts.validation, parts.items, shape, replace(TRAIN, seed=seed))
        yield {**closed, MODEL: fitted.scores}


def refit(parts: LeaveOneOut, shape: Mapping[str, Any], mixes: Mapping[str, Mapping[str, float]], first: Fitted, seeds: int) -> dict[str, Any]:
    """The same settings learnt once more from train and validation, for as many epochs as validation chose: a row that meets no target."""
    if not seeds:
        return {}
    epochs = first.validation.index(max(first.validation)) + 1
    closed = closed_forms(parts.refit, parts.items)
    models = (fit_for(parts.refit, parts.items, shape, replace(TRAIN, seed=seed), epochs) for seed in range(seeds))
    sys.stdout.write(f"\nrefitted on train and validation for {epochs} epochs; comparable with nothing that is not\n")
    gathered = gather(parts.test, ({**closed, MODEL: model} for model in models), mixes, MODEL)
    names = (f"ndcg@{CUT}", f"hit_rate@{CUT}")
    means = {
        said: {policy: with_intervals(figures, names, RESAMPLING) for policy, figures in one.figures().items()} for said, one in gathered.items()
    }
    sys.stdout.writelines(f"{line}\n" for said, found in means.items() for line in (f"refit, {said}", *table(found)))
    return {"epochs": epochs, "seeds": seeds, "mean": means}


def fit_for(history: Sequences, items: int, shape: Mapping[str, Any], params: Train, epochs: int) -> Scores:
    """A model at the end of epoch number `epochs` of a run that is planned like all others: learning rates are the same."""
    ended = itertools.count(1)

    def until(_: SequenceModel) -> float:
        epoch = next(ended)
        return float(epoch if epoch <= epochs else 0)

    config = SequenceConfig(items=items, **shape, **_COMMON)
    return _scores_of(train(history, np.iinfo(np.int64).max, config, replace(params, patience=1), on_epoch=until).model)


def fit(history: Sequences, validation: Fold, items: int, shape: Mapping[str, Any], params: Train) -> Fitted:
    """Train one model; the epoch with the best validation ndcg@10 is kept."""
    config = SequenceConfig(items=items, **shape, **_COMMON)

    def on_epoch(model: SequenceModel) -> float:
        return ndcg(Scorer.of(model).ranks(validation.history, validation.targets, masked=True), CUT)

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
