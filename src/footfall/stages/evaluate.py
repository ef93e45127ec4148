"""Stage `evaluate`: the bundle as it ships, on the test labels -> reports/metrics.json.

    data/bundle, data/sequences, data/tables/catalogue.parquet -> reports/metrics.json (METRICS)

The bundle is opened and asked exactly as the service opens and asks it. Beside its own policies stand baselines that do not ship: popularity of the
last week, and EASE and item-kNN with recency, learnt from what the model learnt from. All figures are means over users; intervals resample users.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from footfall.arrays import REMAKE
from footfall.arrays.histories import read_analysed, read_sequences
from footfall.arrays.windows import Split, Targets, read_split, read_targets
from footfall.contracts import CATALOGUE, C
from footfall.core.baselines import popularity, purchases
from footfall.core.bootstrap import LEVEL
from footfall.core.exposure_figures import exposure_figures
from footfall.core.figures import Figures, Learnt, Resampling, best_of, difference, from_slates, on_slice, shown, with_intervals
from footfall.core.linear_baselines import Labels, fit_linear, slates_of
from footfall.core.metrics import coverage
from footfall.core.sequences import Int64, Sequences
from footfall.core.slices import only_targets, slice_users, target_slices
from footfall.core.vocabulary import Vocabulary
from footfall.documents import Metrics
from footfall.errors import BundleError, ParamsError, SourceError
from footfall.manifest import CACHE, check_manifest
from footfall.params import Evaluate, Params
from footfall.paths import Paths
from footfall.recommender import BASELINES, FUSED, FUSED_WITHOUT_MODEL, POLICIES, Recommender
from footfall.stages.chance_figures import chance_figures
from footfall.stages.command import run_stage
from footfall.stages.explanation_figures import explanation_figures
from footfall.stages.head_figures import head_figures, rounded
from footfall.tables import read_parquet, write_text

RECENT, RECENT_DAYS = "popularity_7d", 7
_VALIDATION_USERS = 300
"""On whom a decay is chosen."""


def make_metrics(paths: Paths, params: Params) -> Metrics:
    """Write reports/metrics.json and return it.

    Raises:
        BundleError: the bundle is damaged, or was made at another `as_of` than the sequences.
        ParamsError: `evaluate.k` is not among the cut-offs.
        SourceError: sequences or catalogue cannot be read, or nobody bought anything in the test window.
    """
    if params.evaluate.k not in params.evaluate.cutoffs:
        found = f"k {params.evaluate.k}, cutoffs {params.evaluate.cutoffs}"
        raise ParamsError("k is no cut-off", where=paths.params, expected="k among the cutoffs", found=found, next_step="add it to evaluate.cutoffs")
    check_manifest(paths.sequences, next_step=REMAKE)
    check_manifest(paths.tables, next_step=f"{CACHE}, or dvc repro --force events")
    split = read_split(paths.sequences)
    targets = read_targets(paths.sequences, "test")
    if not len(targets):
        raise SourceError("nobody bought anything in the test window", where="targets_test.parquet", next_step="ingest more events")
    recommender = Recommender.open(paths.bundle)
    if recommender.manifest.as_of != params.data.as_of.isoformat():
        found = recommender.manifest.as_of
        raise BundleError(
            "bundle is of another moment", where=paths.bundle, expected=params.data.as_of.isoformat(), found=found, next_step="dvc repro"
        )
    history = read_sequences(paths.sequences).take(targets.users).before(split.test_start)
    others = other_slates(paths, split, history, len(recommender.vocabulary), params.evaluate)
    learnt = Learnt(_train_counts(paths, split, len(recommender.vocabulary)), history, *_said_of(paths, recommender.vocabulary))
    metrics = evaluate(recommender, history, targets, split.test_start, params.evaluate, others, learnt)
    metrics = replace(metrics, **_told(paths, recommender, split, targets, params))
    write_text(paths.metrics_report, metrics.to_json())
    return metrics


def _told(paths: Paths, recommender: Recommender, split: Split, targets: Targets, params: Params) -> dict[str, dict[str, Any]]:
    """What is said beside a ranking, section by section, over the users who may be counted; the targets' users are among them."""
    users = read_analysed(paths.sequences)
    analysed, placed = read_sequences(paths.sequences).take(users), replace(targets, users=np.searchsorted(users, targets.users))
    asked = params.release.min_explained_share
    return {
        "heads": head_figures(recommender, analysed, split, placed, params.evaluate),
        "purchase_chance": rounded(chance_figures(recommender, analysed, split, params.evaluate)),
        "explanations": rounded(explanation_figures(recommender, analysed, split.test_start, params.evaluate, asked)),
    }


def other_slates(paths: Paths, split: Split, history: Sequences, items: int, params: Evaluate) -> dict[str, Int64]:
    """Policy -> (U, k) slates of the baselines that do not ship, at the longest cut-off."""
    everybody, longest = read_sequences(paths.sequences), max(params.cutoffs)
    recent = popularity(everybody, items, split.test_start, RECENT_DAYS)
    found = {RECENT: np.repeat(np.argsort(-recent, kind="stable")[None, :longest] + 1, len(history), axis=0)}
    train = everybody.before(split.train_end)
    bought = read_targets(paths.sequences, "validation")
    labels = Labels(train.take(bought.users), bought.offsets, bought.item_index).take(_VALIDATION_USERS)
    fitted = fit_linear(
        train,
        items,
        labels,
        recent,
        regularisation=params.regularisation,
        decays=params.decays,
        cells=params.linear_cells,
        seed=params.seed,
        k=params.k,
    )
    return found | {policy: slates_of(linear, history, recent, longest) for policy, linear in fitted.items()}


def _train_counts(paths: Paths, split: Split, items: int) -> Int64:
    """(V,) purchases before the training cut."""
    bought = purchases(read_sequences(paths.sequences).before(split.train_end))
    return np.bincount(bought.item_index, minlength=items + 1)[1:]


def _said_of(paths: Paths, vocabulary: Vocabulary) -> tuple[Int64, list[str]]:
    """(V,) a code for the first two levels of each item's category, as drift reports count them, and (V,) its brand, "" for none."""
    columns = (C.ITEM_ID, C.CATEGORY_PATH, C.BRAND)
    catalogue = read_parquet(paths.tables / f"{CATALOGUE.name}.parquet", columns, next_step="dvc repro events")
    told = {item: (path, brand) for item, path, brand in zip(*(catalogue[name].to_pylist() for name in columns), strict=True)}
    rows = [told.get(item, (None, None)) for item in vocabulary.item_ids]
    short = [" > ".join((path or "").split(" > ")[:2]) for path, _ in rows]
    return np.unique(short, return_inverse=True)[1].astype(np.int64), [brand or "" for _, brand in rows]


def evaluate(
    recommender: Recommender,
    history: Sequences,
    targets: Targets,
    at: int,
    params: Evaluate,
    others: Mapping[str, Int64],
    learnt: Learnt,
) -> Metrics:
    """Every policy's figures on these labels.

    Args:
        recommender: the opened bundle.
        history: Sequences of the targets' users, in their order.
        targets: what they bought first from `at` on.
        at: first moment of the labels, microseconds.
        params: cut-offs, resamples and slices.
        others: policy -> (U, k) slates of baselines that the bundle does not hold.
        learnt: what novelty, popularity, slices of items and exposure are measured against.
    """
    ranking = recommender.rank(history, at, max(params.cutoffs), POLICIES)
    slates = {**ranking.slates, **others}
    by_user = {policy: from_slates(found, targets.offsets, targets.item_index, params.cutoffs) for policy, found in slates.items()}
    return Metrics(
        protocol=_protocol(recommender, targets, params) | {"degraded_users": sum(reason is not None for reason in ranking.degraded)},
        policies={policy: _policy(figures, slates[policy], learnt, params) for policy, figures in by_user.items()},
        slices=_slices(by_user, slates, history, targets, learnt, params),
        differences=_differences(by_user, [*BASELINES, *others], params),
        exposure=rounded(exposure_figures(slates, learnt.counts, learnt.brands, tail_share=params.tail_share, k=params.k)),
    )


def _policy(figures: Figures, slates: Int64, learnt: Learnt, params: Evaluate) -> dict[str, Any]:
    """One policy's means, intervals and what it shows."""
    said = with_intervals(figures, list(figures), _resampling(params))
    said["mrr"] = said[f"mrr@{params.k}"]
    said |= {f"coverage@{k}": round(coverage(slates, len(learnt.counts), k), 6) for k in params.cutoffs}
    return said | shown(slates, learnt, params.k)


def _slices(
    by_user: Mapping[str, Figures], slates: Mapping[str, Int64], history: Sequences, targets: Targets, learnt: Learnt, params: Evaluate
) -> dict[str, dict[str, Any]]:
    """Figures on some of the users, and on some of the targets: then of the users who have one, and of these targets alone."""
    names, resampling = [f"ndcg@{params.k}", f"recall@{params.k}"], _resampling(params)
    users = slice_users(
        history,
        targets.offsets,
        targets.item_index,
        cold_events=params.cold_user_events,
        short_events=params.short_history_events,
        long_events=params.long_history_events,
    )
    said = {name: on_slice(by_user, members, names, resampling) for name, members in users.items()}
    wanted = target_slices(targets.item_index, learnt.counts, cold_events=params.cold_item_events, tail_share=params.tail_share)
    for name, members in wanted.items():
        having, offsets, items = only_targets(targets.offsets, targets.item_index, members)
        found = {policy: from_slates(rows[having], offsets, items, [params.k]) for policy, rows in slates.items()} if len(having) else {}
        said[name] = on_slice(found, np.ones(len(having), np.bool_), names, resampling) | {"targets": len(items)}
    return said


def _differences(by_user: Mapping[str, Figures], baselines: list[str], params: Evaluate) -> dict[str, dict[str, Any]]:
    """Paired differences of ndcg that the project is judged by."""
    name, resampling = f"ndcg@{params.k}", _resampling(params)
    best = best_of(by_user, baselines, name)
    pairs = {
        "fused_minus_best_baseline": (FUSED, best),
        "fused_minus_fused_without_model": (FUSED, FUSED_WITHOUT_MODEL),
        "model_minus_best_baseline": ("model", best),
    }
    return {said: difference(by_user, *pair, name, resampling) for said, pair in pairs.items()}


def _resampling(params: Evaluate) -> Resampling:
    return Resampling(params.bootstrap, params.seed)


def _protocol(recommender: Recommender, targets: Targets, params: Evaluate) -> dict[str, Any]:
    manifest = recommender.manifest
    return {
        "labels": "first basket of each user in the test window, distinct recommendable items, repeats kept",
        "as_of": manifest.as_of,
        "train_end": manifest.train_end,
        "test_start": manifest.validation_end,
        "release": recommender.release_id,
        "users": len(targets),
        "items": len(recommender.vocabulary),
        "targets": len(targets.item_index),
        "targets_outside_vocabulary": int((targets.item_index == 0).sum()),
        "k": params.k,
        "cutoffs": params.cutoffs,
        "interval": f"{LEVEL:.0%} percentile bootstrap over users, {params.bootstrap} resamples",
        "weights": recommender.bundle.fusion.weights,
        "temperature": recommender.bundle.fusion.temperature,
        "validation": recommender.bundle.fusion.validation,
    }


if __name__ == "__main__":
    sys.exit(run_stage(make_metrics))
