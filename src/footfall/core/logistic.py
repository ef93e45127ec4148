"""Logistic regression, the baseline of every head: plain, linear, by Newton's method, without a library of its own.

`fit_logistic` tells classes apart by a case's figures (multinomial; two classes are its smallest case). `fit_choice` says which of many
alternatives is chosen by the alternatives' own figures (the conditional logit: McFadden 1974, "Conditional logit analysis of qualitative choice
behavior"): with a class an item the first would need a row of weights for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from footfall.core.metrics import Float64
from footfall.core.sequences import Int64

_STEPS, _CLOSE = 50, 1e-8
_HALVINGS = 30


@dataclass(frozen=True)
class Logistic:
    """A fitted model of C classes by F figures: softmax of standardised figures times weights, plus a bias.

    Attributes:
        mean, scale: (F,) by which figures are standardised.
        weights: (F + 1, C); the last row is the bias.
    """

    mean: Float64
    scale: Float64
    weights: Float64

    def chances(self, figures: Float64) -> Float64:
        """(N, C) from (N, F)."""
        return softmax(_with_one((figures - self.mean) * self.scale) @ self.weights)


def fit_logistic(figures: Float64, labels: Int64, classes: int, ridge: float = 1.0) -> Logistic:
    """The weights of least log loss plus ridge / 2 times their squares, on standardised figures; the biases are all but free.

    Args:
        figures: (N, F).
        labels: (N,) from 0 to classes - 1; a class that never occurs gets a very small chance.
        classes: C.
        ridge: as scikit-learn's 1 / C.

    Raises:
        ValueError: nothing to fit.
    """
    if not len(labels):
        raise ValueError("no cases to fit")
    spread = figures.std(axis=0)
    mean, scale = figures.mean(axis=0), np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    told, came = _with_one((figures - mean) * scale), np.eye(classes)[labels]
    width = told.shape[1]
    penalty = np.repeat(np.append(np.full(width - 1, ridge), 1e-3), classes)  # flat order: figure, class

    def loss(flat: Float64) -> float:
        logits = told @ flat.reshape(width, classes)
        return float((_log_mass(logits) - (logits * came).sum(axis=1)).sum() + (penalty * flat**2).sum() / 2)

    def slopes(flat: Float64) -> tuple[Float64, Float64]:
        chances = softmax(told @ flat.reshape(width, classes))
        gradient = (told.T @ (chances - came)).ravel() + penalty * flat
        curve = np.empty((width, classes, width, classes))
        for one in range(classes):
            for other in range(one + 1):
                weight = chances[:, one] * ((one == other) - chances[:, other])
                curve[:, one, :, other] = curve[:, other, :, one] = told.T @ (weight[:, None] * told)
        return gradient, curve.reshape(width * classes, -1) + np.diag(penalty)

    return Logistic(mean, scale, _newton(np.zeros(width * classes), loss, slopes).reshape(width, classes))


def fit_choice(alternatives: Sequence[Float64], chosen: Sequence[Float64], ridge: float = 1.0) -> Float64:
    """(F,) weights of the alternatives' figures, under which softmax(figures @ weights) fits what was chosen.

    Args:
        alternatives: a (A, F) array a case.
        chosen: (A,) share of each alternative in what was chosen, a case each; a case without a choice says nothing.
        ridge: as in `fit_logistic`; figures are taken as they are.

    Raises:
        ValueError: nothing was ever chosen.
    """
    cases = [(figures, shares) for figures, shares in zip(alternatives, chosen, strict=True) if shares.sum()]
    if not cases:
        raise ValueError("no cases to fit")

    def loss(weights: Float64) -> float:
        logits = [figures @ weights for figures, _ in cases]
        fits = sum(shares.sum() * float(_log_mass(one[None])[0]) - shares @ one for one, (_, shares) in zip(logits, cases, strict=True))
        return float(fits + ridge / 2 * weights @ weights)

    def slopes(weights: Float64) -> tuple[Float64, Float64]:
        gradient, curve = ridge * weights, ridge * np.eye(len(weights))
        for figures, shares in cases:
            chances = softmax((figures @ weights)[None])[0]
            mean, total = chances @ figures, shares.sum()
            gradient = gradient + total * mean - shares @ figures
            curve = curve + total * (figures.T @ (chances[:, None] * figures) - np.outer(mean, mean))
        return gradient, curve

    return _newton(np.zeros(cases[0][0].shape[1]), loss, slopes)


def softmax(logits: Float64) -> Float64:
    """Rows of chances."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _log_mass(logits: Float64) -> Float64:
    top = logits.max(axis=1)
    return np.asarray(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def _with_one(figures: Float64) -> Float64:
    return np.column_stack([figures, np.ones(len(figures))])


def _newton(point: Float64, loss: Callable[[Float64], float], slopes: Callable[[Float64], tuple[Float64, Float64]]) -> Float64:
    """The lowest point of a convex function: whole steps where they go down, halves of them where they do not."""
    value = loss(point)
    for _ in range(_STEPS):
        gradient, curve = slopes(point)
        step = np.linalg.solve(curve, gradient)
        if gradient @ step < _CLOSE:
            break
        for _ in range(_HALVINGS):
            if (lower := loss(point - step)) <= value:
                break
            step = step / 2
        point, value = point - step, lower
    return point
