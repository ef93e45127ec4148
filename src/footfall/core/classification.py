"""How good a chance is: accuracy, precision, recall, F1, AUC, log loss, Brier score and calibration, for two classes and for many.

`labels` are class codes 0, 1, ...; `chances` (N,) is the chance of class 1, or (N, C) a row of chances a case. A figure without a denominator
(nothing was predicted, nothing was there) is 0, as scikit-learn's `zero_division=0`; an AUC that compares nothing with nothing is None.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from footfall.core.metrics import Bools, Float64
from footfall.core.sequences import Int64

BINS = 10
"""Equal parts of 0..1 into which chances are sorted for calibration."""
_LEAST = 1e-12


def two_class_figures(labels: Int64 | Bools, chances: Float64, threshold: float = 0.5) -> dict[str, Any]:
    """Every figure for a chance of yes; yes is predicted from `threshold` on.

    Raises:
        ValueError: no cases, or labels and chances differ in number.
    """
    _check(labels, chances)
    yes = labels.astype(np.bool_)
    precision, recall, f1 = precision_recall_f1(yes, chances >= threshold)
    return {
        "accuracy": float(((chances >= threshold) == yes).mean()),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auc": auc(yes, chances),
        "log_loss": float(log_losses(labels, np.column_stack([1 - chances, chances])).mean()),
        "brier": float(((chances - yes) ** 2).mean()),
        "calibration": calibration(yes.astype(np.float64), chances),
    }


def many_class_figures(labels: Int64, chances: Float64) -> dict[str, Any]:
    """Every figure for rows of chances.

    Precision, recall, F1 and AUC are means over the classes that occur (macro); AUC is one class against the rest. Calibration is that of the
    likeliest class's chance. Brier is the sum over classes, 0 to 2.

    Raises:
        ValueError: no cases, labels and chances differ in number, or a label has no column.
    """
    _check(labels, chances)
    predicted = chances.argmax(axis=1)
    there = np.unique(labels)
    by_class = np.array([precision_recall_f1(labels == code, predicted == code) for code in there])
    areas = [area for code in there if (area := auc(labels == code, chances[:, code])) is not None]
    right = predicted == labels
    return {
        "accuracy": float(right.mean()),
        "precision": float(by_class[:, 0].mean()),
        "recall": float(by_class[:, 1].mean()),
        "f1": float(by_class[:, 2].mean()),
        "auc": float(np.mean(areas)) if areas else None,
        "log_loss": float(log_losses(labels, chances).mean()),
        "brier": float(((chances - np.eye(chances.shape[1])[labels]) ** 2).sum(axis=1).mean()),
        "calibration": calibration(right.astype(np.float64), chances.max(axis=1)),
    }


def precision_recall_f1(yes: Bools, predicted: Bools) -> tuple[float, float, float]:
    """Of one class: how much of what was predicted was there, how much of what was there was predicted, and their harmonic mean."""
    hits = int((yes & predicted).sum())
    said, there = int(predicted.sum()), int(yes.sum())
    return hits / max(said, 1), hits / max(there, 1), 2 * hits / max(said + there, 1)


def auc(yes: Bools, scores: Float64) -> float | None:
    """Chance that a yes scores above a no, ties counted half (Mann-Whitney); None unless there are both."""
    positives, negatives = int(yes.sum()), int((~yes).sum())
    if not positives or not negatives:
        return None
    above = _mid_ranks(scores)[yes].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def auc_of_few(scores: Float64, places: Int64) -> float | None:
    """The same as `auc` where the few at distinct `places` are the yes: it counts and never sorts."""
    others = len(scores) - len(places)
    if not len(places) or not others:
        return None
    few = scores[places]
    wins = sum(float((scores < one).sum() - (few < one).sum() + ((scores == one).sum() - (few == one).sum()) / 2) for one in few)
    return wins / (len(places) * others)


def _mid_ranks(scores: Float64) -> Float64:
    """Ranks from 1, equal scores sharing the middle of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: Float64 = ends - (counts - 1) / 2
    return middle[inverse]


def log_losses(labels: Int64 | Bools, chances: Float64) -> Float64:
    """(N,) minus the logarithm of the chance that was given to what came; a chance of nothing counts as 1e-12."""
    given = chances[np.arange(len(labels)), labels.astype(np.int64)]
    return np.asarray(-np.log(np.maximum(given, _LEAST)))


def calibration(outcomes: Float64, chances: Float64, bins: int = BINS) -> dict[str, Any]:
    """Whether what is said comes true as often as is said: the expected calibration error and its table.

    Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning"; equal widths.

    Args:
        outcomes: (N,) 0 or 1, or a share between them.
        chances: (N,) from 0 to 1.
        bins: equal parts of 0..1; the last holds 1 itself.

    Returns:
        {"error": mean over cases of a bin's |mean outcome - mean chance|, "table": a row a bin that is not empty: from, to, cases, said, came}.
    """
    part = np.minimum((chances * bins).astype(np.int64), bins - 1)
    cases = np.bincount(part, minlength=bins)
    said, came = (np.bincount(part, weights=values, minlength=bins) / np.maximum(cases, 1) for values in (chances, outcomes))
    table = [
        {"from": n / bins, "to": (n + 1) / bins, "cases": int(cases[n]), "said": float(said[n]), "came": float(came[n])}
        for n in np.flatnonzero(cases).tolist()
    ]
    return {"error": float((cases * np.abs(came - said)).sum() / len(chances)), "table": table}


def equal_parts(outcomes: Float64, chances: Float64, parts: int = BINS) -> dict[str, Any]:
    """The same with as many cases in every part, for chances that lie close together: in equal widths rare events fill one bin, and hide in it.

    Equal chances stay together, in the part of the first of them (Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis").
    """
    order = np.argsort(chances, kind="stable")
    bounds = np.searchsorted(chances[order], chances[order][np.arange(parts) * len(order) // parts])
    starts = np.unique(bounds)
    cases = np.diff(np.append(starts, len(order)))
    said, came = (np.add.reduceat(values[order], starts) / cases for values in (chances, outcomes))
    lowest, highest = chances[order][starts], chances[order][np.append(starts[1:], len(order)) - 1]
    rows = zip(lowest.tolist(), highest.tolist(), cases.tolist(), said.tolist(), came.tolist(), strict=True)
    table = [dict(zip(("from", "to", "cases", "said", "came"), row, strict=True)) for row in rows]
    return {"error": float((cases * np.abs(came - said)).sum() / len(order)), "table": table}


def _check(labels: Int64 | Bools, chances: Float64) -> None:
    if not len(labels):
        raise ValueError("no cases to judge")
    if len(labels) != len(chances):
        raise ValueError(f"{len(labels)} labels for {len(chances)} rows of chances")
    if chances.ndim == 2 and int(labels.max()) >= chances.shape[1]:
        raise ValueError(f"label {int(labels.max())} has no column among {chances.shape[1]}")
