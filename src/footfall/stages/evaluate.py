"""Stage `evaluate`: the bundle as it ships, on the test labels -> reports/metrics.json.

    data/bundle, data/sequences -> reports/metrics.json (METRICS)

The bundle is opened and asked exactly as the service opens and asks it. All figures are means over users; intervals resample users.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from footfall import arrays
from footfall.core.bootstrap import LEVEL, interval, paired
from footfall.core.metrics import Bools, Float64, UserMetrics, coverage, user_metrics
from footfall.core.sequences import Sequences
from footfall.core.slices import slice_users
from footfall.documents import Metrics
from footfall.errors import BundleError, FootfallError, SourceError
from footfall.manifest import check_manifest
from footfall.params import Evaluate, Params, load_params
from footfall.paths import Paths
from footfall.recommender import BASELINES, FUSED, FUSED_WITHOUT_MODEL, POLICIES, Recommender
from footfall.tables import write_text

_DIGITS = 6


def make_metrics(paths: Paths, params: Params) -> Metrics:
    """Write reports/metrics.json and return it.

    Raises:
        BundleError: the bundle is damaged, or was made at another `as_of` than the sequences.
        SourceError: the sequences cannot be read, or nobody bought anything in the test window.
    """
    check_manifest(paths.sequences, next_step=arrays.REMAKE)
    split = arrays.read_split(paths.sequences)
    targets = arrays.read_targets(paths.sequences, "test")
    if not len(targets):
        raise SourceError("nobody bought anything in the test window", where="targets_test.parquet", next_step="ingest more events")
    recommender = Recommender.open(paths.bundle)
    if recommender.manifest.as_of != params.data.as_of.isoformat():
        found = recommender.manifest.as_of
        raise BundleError(
            "bundle is of another moment", where=paths.bundle, expected=params.data.as_of.isoformat(), found=found, next_step="dvc repro"
        )
    history = arrays.read_sequences(paths.sequences).take(targets.users).before(split.test_start)
    metrics = evaluate(recommender, history, targets, split.test_start, params.evaluate)
    write_text(paths.metrics_report, metrics.to_json())
    return metrics


def evaluate(recommender: Recommender, history: Sequences, targets: arrays.Targets, at: int, params: Evaluate) -> Metrics:
    """Every policy's figures on these labels.

    Args:
        recommender: the opened bundle.
        history: Sequences of the targets' users, in their order.
        targets: what they bought first from `at` on.
        at: first moment of the labels, microseconds.
        params: cut-off, resamples and slices.
    """
    ranking = recommender.rank(history, at, params.k, POLICIES)
    by_user = {policy: user_metrics(found, targets.offsets, targets.item_index, params.k) for policy, found in ranking.slates.items()}
    policies = {policy: _figures(figures, params) for policy, figures in by_user.items()}
    for policy, found in ranking.slates.items():
        policies[policy][f"coverage@{params.k}"] = _round(coverage(found, len(recommender.vocabulary), params.k))
    members = slice_users(history, targets.offsets, targets.item_index, cold_events=params.cold_user_events, long_events=params.long_history_events)
    return Metrics(
        protocol=_protocol(recommender, targets, params) | {"degraded_users": sum(reason is not None for reason in ranking.degraded)},
        policies=policies,
        slices={name: _slice(by_user, users, params) for name, users in members.items()},
        differences=_differences(by_user, params),
    )


def _figures(figures: UserMetrics, params: Evaluate) -> dict[str, Any]:
    means: dict[str, Any] = {name: _round(float(values.mean())) for name, values in figures.named().items()}
    ranked = {f"recall@{params.k}": figures.recall, f"ndcg@{params.k}": figures.ndcg}
    means["interval"] = {name: _bounds(values, params) for name, values in ranked.items()}
    return means


def _bounds(values: Float64, params: Evaluate) -> list[float]:
    found = interval(values, params.bootstrap, params.seed)
    return [_round(found.low), _round(found.high)]


def _slice(by_user: Mapping[str, UserMetrics], users: Bools, params: Evaluate) -> dict[str, Any]:
    """Figures of every policy on some of the users."""
    count = int(users.sum())
    if not count:
        return {"users": 0}
    figures: dict[str, Any] = {"users": count}
    for policy, metrics in by_user.items():
        figures[policy] = {
            f"recall@{params.k}": _round(float(metrics.recall[users].mean())),
            f"ndcg@{params.k}": _round(float(metrics.ndcg[users].mean())),
            "interval": _bounds(metrics.ndcg[users], params),
        }
    return figures


def _differences(by_user: Mapping[str, UserMetrics], params: Evaluate) -> dict[str, dict[str, Any]]:
    """Paired differences of ndcg that the project is judged by."""
    best = max(BASELINES, key=lambda policy: float(by_user[policy].ndcg.mean()))
    pairs = {
        "fused_minus_best_baseline": (FUSED, best),
        "fused_minus_fused_without_model": (FUSED, FUSED_WITHOUT_MODEL),
        "model_minus_best_baseline": ("model", best),
    }
    differences = {}
    for name, (ours, theirs) in pairs.items():
        found = paired(by_user[ours].ndcg, by_user[theirs].ndcg, params.bootstrap, params.seed)
        differences[name] = {
            "minuend": ours,
            "subtrahend": theirs,
            f"ndcg@{params.k}": _round(found.mean),
            "interval": [_round(found.low), _round(found.high)],
        }
    return differences


def _protocol(recommender: Recommender, targets: arrays.Targets, params: Evaluate) -> dict[str, Any]:
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
        "interval": f"{LEVEL:.0%} percentile bootstrap over users, {params.bootstrap} resamples",
        "weights": recommender.bundle.fusion.weights,
        "temperature": recommender.bundle.fusion.temperature,
        "validation": recommender.bundle.fusion.validation,
    }


def _round(value: float) -> float:
    """Six digits: more than any interval resolves, and the same on every machine."""
    return float(np.round(value, _DIGITS))


def main() -> int:
    """Run the stage below the current directory."""
    paths = Paths.here()
    try:
        make_metrics(paths, load_params(paths.params))
    except FootfallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
