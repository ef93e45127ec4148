"""How well the sequence model ranks on any file of sequences, beside what needs no gradient: every figure on full rankings.

    python -m benchmarks quality --sequences FILE [--attributes FILE] [--text FILE] [--seeds 5] [--refit-seeds 1] [--out JSON]

Settings (the model's and the fusion's) are chosen on validation targets alone, with the first seed, and nothing depends on the file's name. No row is
refitted on validation but those that say so. With attributes or text the model is trained with them and without, and validation says which the fused
policy uses.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.content_files import NEIGHBOURS, neighbours, read_content
from benchmarks.figures import CUT, RESAMPLING, lines_of, table
from benchmarks.leave_one_out import Fold, LeaveOneOut, Scores, ndcg, ranks, split
from benchmarks.policies import CELLS, COSINE, EASE, Settings, choose_settings, closed_forms, item_counts
from benchmarks.protocols import MASKED, UNMASKED, gather, report
from benchmarks.race import Row, machine, say, versions
from benchmarks.sequences_text import read_sequences_text
from footfall.contracts import EVENT_TYPES
from footfall.core.figures import with_intervals
from footfall.core.sequences import Sequences
from footfall.model.content import ItemContent
from footfall.model.pretrained import SequenceConfig, SequenceModel
from footfall.model.scorer import Scorer
from footfall.model.trainer import train
from footfall.params import Train
from footfall.tables import write_text

MODEL, FUSED, FUSED_WITHOUT_MODEL = "transformer", "fused", "fused_without_transformer"
WITH_CONTENT = "transformer_with_content"
MODELS = (MODEL, WITH_CONTENT)
CONTENT_WEIGHTS = (0.0, 0.6, 1.2, 1.8)
NO_TIMES = "needs times, which a file in the S3-Rec text form has not: python -m benchmarks time-split --sequences FILE.parquet"
WEIGHTS = {EASE: (0.0, 6.0, 12.0, 24.0, 48.0), COSINE: (0.0, 2.0, 4.0, 8.0)}
TRAIN = Train(
    seed=0,
    threads=2,
    epochs=20,
    tokens_per_step=2048,
    exact_items=30_000,
    negatives=2048,
    learning_rate=0.004,
    weight_decay=1.0,
    warmup_share=0.02,
    basket_power=0.0,
    repeat_pace=1.0,
    spectral_start=True,
    average=0.995,
    patience=4,
    precision="auto",
)
SHAPES = ({"dim": 96, "blocks": 2, "heads": 2, "dropout": 0.5}, {"dim": 96, "blocks": 2, "heads": 2, "dropout": 0.2})
"""From which validation chooses."""
_COMMON = {"event_types": len(EVENT_TYPES), "channels": 1, "max_events": 50}


@dataclass(frozen=True)
class Fitted:
    """A trained model, its log-probabilities, and how good it was on validation after each epoch."""

    model: SequenceModel
    scores: Scores
    validation: list[float]
    seconds: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this race alone."""
    parser.add_argument("--sequences", type=Path, required=True, help="a file in the S3-Rec text form, perhaps .gz")
    parser.add_argument("--attributes", type=Path, help="JSON, perhaps .gz: item number -> list of attribute ids")
    parser.add_argument("--text", type=Path, help="Parquet: item_id (the number), and text, or a vector of text, images or sound")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--refit-seeds", type=int, default=1, help="seeds of the row that is refitted on validation; 0 leaves it out")
    parser.add_argument("--target-ndcg", type=float, help=f"what the masked ndcg@{CUT} of the transformer, and of the fused policy, must reach")
    parser.add_argument("--target-hit", type=float, help=f"the same of the hit rate@{CUT}")
    parser.add_argument("--out", type=Path, help="where to write the figures; default reports/bench/quality.json")


def run(root: Path, options: argparse.Namespace) -> Path:
    """Choose, train with every seed, rank, print and write."""
    parts = split(read_sequences_text(options.sequences))
    content = read_content(parts.items, options.attributes, options.text)
    settings = choose_settings(parts.train, parts.validation, parts.items)
    if settings is None:
        sys.stdout.write(f"EASE and item-kNN are left out: {parts.items:,} items are too many for matrices of {CELLS:,} numbers\n")
    closed = closed_forms(parts.train, parts.items, settings) | alike(content)
    shape, first = choose_shape(parts)
    begun = {MODEL: first} | ({} if content is None else {WITH_CONTENT: fit(parts.train, parts.validation, parts.items, shape, TRAIN, content)})
    weights = choose_weights(parts.validation, closed | {name: one.scores for name, one in begun.items()})
    mixes = policies(closed, weights, tuple(begun))
    gathered = gather(parts.test, _seeds(parts, closed, shape, begun, content, options.seeds), mixes, MODELS)
    del closed  # EASE and item-kNN hold half a gigabyte each at Beauty's size, and the refitted row fits its own
    document = {
        **about(parts, settings),
        "chosen_on_validation": {
            "shape": shape,
            "weights": weights,
            "validation_ndcg@10_by_epoch": first.validation,
            "seconds": first.seconds,
            "closed_forms": None if settings is None else asdict(settings),
        },
        "with_content": {
            name: {"validation_ndcg@10_by_epoch": one.validation, "seconds": one.seconds} for name, one in begun.items() if name != MODEL
        },
        **report(gathered, parts.test, item_counts(parts.train, parts.items), MODEL, FUSED),
    }
    for said in (MASKED, UNMASKED):
        sys.stdout.writelines(f"{line}\n" for line in (f"\n{said}", *lines_of(document[said])))
    document["refit"] = refit(parts, shape, mixes, begun, content, options.refit_seeds, settings)
    sys.stdout.write(f"\ntime split: {NO_TIMES}\n\n")
    found = rows(document, options.target_ndcg, options.target_hit)
    document["rows"] = [row.as_dict() for row in found]
    say(found, document["versions"])
    path: Path = options.out or root / "reports" / "bench" / "quality.json"
    write_text(path, json.dumps(document, indent=1) + "\n")
    return path


def about(parts: LeaveOneOut, settings: Settings | None) -> dict[str, Any]:
    """What a reader must know before any figure."""
    return {
        "name": "quality",
        "versions": versions(["torch", "transformers", "numpy"]),
        "machine": machine(),
        "file": {"users": len(parts.test.history), "items": parts.items, "events": int(parts.test.history.lengths.sum()) + len(parts.test.targets)},
        "left_out": {"policies": [EASE, COSINE], "items": parts.items, "numbers_of_a_matrix": CELLS} if settings is None else {},
        "protocol": "leave one out, full ranking, test = last, no refit on validation; intervals resample users",
        "other_protocols": {"time split": NO_TIMES},
    }


def rows(document: Mapping[str, Any], target_ndcg: float | None, target_hit: float | None) -> list[Row]:
    """Masked means over seeds of every transformer and of the fused policy, each held to the targets by itself."""
    found, seeds = [], [seed[MASKED] for seed in document["seeds"]]
    for policy in (name for name in (*MODELS, FUSED) if name in document["mean"][MASKED]):
        for figure, target in ((f"ndcg@{CUT}", target_ndcg), (f"hit_rate@{CUT}", target_hit)):
            notes = {"seeds": [seed[policy][figure] for seed in seeds], "interval": document[MASKED]["policies"][policy]["interval"][figure]}
            what = f"{policy}, leave one out, masked, no refit, mean of {len(seeds)} seeds"
            found.append(Row(what, figure, document["mean"][MASKED][policy][figure], target=target, notes=notes))
    return found


def policies(closed: Mapping[str, Scores], weights: Mapping[str, float], models: tuple[str, ...] = (MODEL,)) -> dict[str, dict[str, float]]:
    """Every part alone, the fused policy, and what is left of it without the transformer."""
    alone = {name: {name: 1.0} for name in (*closed, *models)}
    rest = {name: weight for name, weight in weights.items() if name not in MODELS and weight}
    return alone | ({FUSED_WITHOUT_MODEL: rest} if rest else {}) | {FUSED: dict(weights)}


def _seeds(
    parts: LeaveOneOut, closed: Mapping[str, Scores], shape: Mapping[str, Any], begun: Mapping[str, Fitted], content: ItemContent | None, seeds: int
) -> Iterator[dict[str, Scores]]:
    """The parts of each seed; the models of the first are trained already."""
    yield {**closed, **{name: one.scores for name, one in begun.items()}}
    for seed in range(1, seeds):
        params, told = replace(TRAIN, seed=seed), {MODEL: None, WITH_CONTENT: content}
        fitted = {name: fit(parts.train, parts.validation, parts.items, shape, params, told[name]) for name in begun}
        yield {**closed, **{name: one.scores for name, one in fitted.items()}}


def refit(
    parts: LeaveOneOut,
    shape: Mapping[str, Any],
    mixes: Mapping[str, Mapping[str, float]],
    begun: Mapping[str, Fitted],
    content: ItemContent | None,
    seeds: int,
    settings: Settings | None,
) -> dict[str, Any]:
    """The same settings learnt once more from train and validation, for as many epochs as validation chose: a row that meets no target."""
    if not seeds:
        return {}
    epochs = {name: one.validation.index(max(one.validation)) + 1 for name, one in begun.items()}
    closed, told = closed_forms(parts.refit, parts.items, settings) | alike(content), {MODEL: None, WITH_CONTENT: content}
    models = (
        {name: fit_for(parts.refit, parts.items, shape, replace(TRAIN, seed=seed), asked, told[name]) for name, asked in epochs.items()}
        for seed in range(seeds)
    )
    said = ", ".join(f"{name} for {asked}" for name, asked in epochs.items())
    sys.stdout.write(f"\nrefitted on train and validation, epochs: {said}; comparable with nothing that is not\n")
    gathered = gather(parts.test, ({**closed, **trained} for trained in models), mixes, MODELS)
    names = (f"ndcg@{CUT}", f"hit_rate@{CUT}")
    means = {
        said: {policy: with_intervals(figures, names, RESAMPLING) for policy, figures in one.figures().items()} for said, one in gathered.items()
    }
    sys.stdout.writelines(f"{line}\n" for said, found in means.items() for line in (f"refit, {said}", *table(found)))
    return {"epochs": epochs, "seeds": seeds, "mean": means}


def fit_for(history: Sequences, items: int, shape: Mapping[str, Any], params: Train, epochs: int, content: ItemContent | None = None) -> Scores:
    """A model at the end of epoch number `epochs` of a run that is planned like all others: learning rates are the same."""
    ended, begun = itertools.count(1), time.perf_counter()

    def until(_: SequenceModel) -> float:
        epoch = next(ended)
        _say(params, epoch, begun, "refit, not judged")
        return float(epoch if epoch <= epochs else 0)

    config = SequenceConfig(items=items, **shape, **_COMMON)
    return _scores_of(train(history, np.iinfo(np.int64).max, config, replace(params, patience=1), on_epoch=until, content=content).model)


def fit(history: Sequences, validation: Fold, items: int, shape: Mapping[str, Any], params: Train, content: ItemContent | None = None) -> Fitted:
    """Train one model; the epoch with the best validation ndcg@10 is kept."""
    config = SequenceConfig(items=items, **shape, **_COMMON)

    ended, begun = itertools.count(1), time.perf_counter()

    def on_epoch(model: SequenceModel) -> float:
        found = ndcg(Scorer.of(model).ranks(validation.history, validation.targets, masked=True), CUT)
        _say(params, next(ended), begun, f"validation ndcg@{CUT} {found:.4f}")
        return found

    trained = train(history, np.iinfo(np.int64).max, config, params, on_epoch=on_epoch, content=content)
    return Fitted(trained.model, _scores_of(trained.model), trained.figures, time.perf_counter() - begun)


def _say(params: Train, epoch: int, begun: float, what: str) -> None:
    """One line an epoch, because training takes minutes."""
    sys.stderr.write(f"seed {params.seed}, epoch {epoch} of {params.epochs}: {what}, {time.perf_counter() - begun:.0f} s\n")
    sys.stderr.flush()


def _scores_of(model: SequenceModel) -> Scores:
    """Logits less their logarithmic sum: parts are added to log-probabilities."""
    scorer = Scorer.of(model, on_gpu=True)

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
    """The fusion with the best masked validation ndcg@10; the transformer has weight 1, and ties go to the smaller weights.

    Where there is content, it comes second: which transformer, and how much of the neighbours by content.
    """
    there = [name for name in WEIGHTS if name in parts]
    chosen = _best(
        validation, parts, [{MODEL: 1.0, **dict(zip(there, w, strict=True))} for w in itertools.product(*(WEIGHTS[name] for name in there))]
    )
    rest = {name: weight for name, weight in chosen.items() if name != MODEL}
    models, more = [name for name in MODELS if name in parts], CONTENT_WEIGHTS if NEIGHBOURS in parts else (None,)
    told = [{model: 1.0} | rest | ({} if weight is None else {NEIGHBOURS: weight}) for model in models for weight in more]
    return chosen if len(told) == 1 else _best(validation, parts, told)


def _best(validation: Fold, parts: Mapping[str, Scores], mixes: Sequence[dict[str, float]]) -> dict[str, float]:
    found = ranks(validation, parts, {str(n): mix for n, mix in enumerate(mixes)}, masked=True)
    return max(enumerate(mixes), key=lambda one: ndcg(found[str(one[0])], CUT))[1]


def alike(content: ItemContent | None) -> dict[str, Scores]:
    """The neighbours by content, where there is any."""
    return {} if content is None else {NEIGHBOURS: neighbours(content)}
