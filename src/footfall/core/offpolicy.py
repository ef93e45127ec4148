"""What another policy would have brought, from slates that were logged with propensities: judged before it is shown to anybody.

A row is one position of one slate. Its weight is how much likelier the target puts that item there than the logging policy did. What is
estimated is the reward of a slate, its positions summed: right as long as what happens at a position depends on its item and the position, not on
the other items (the item-position model; Li et al. 2018, "Offline evaluation of ranking policies with click models").

- `ips`: mean of weight * reward (Horvitz & Thompson 1952, "A generalization of sampling without replacement from a finite universe"). Unbiased.
- `snips`: the same over the mean weight, by position (Swaminathan & Joachims 2015, "The self-normalized estimator for counterfactual learning").
  Bias vanishes as 1/n, variance is lower where weights vary; never beyond what was observed.
- `doubly_robust`: what a click model expects under the target, plus the weighted error of that model on what was logged (Dudik et al. 2011, "Doubly
  robust policy evaluation and learning"). Unbiased when propensities are right, however poor the model, which must not have seen the row.

A clipped weight makes every one of them biased by at most the weight that was cut (`Estimate.lost`) times the largest reward; nothing is clipped
unless it is asked for. Where the log cannot tell, the answer is None with the reason, never a number nobody should believe.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from footfall.core.bootstrap import Interval, interval
from footfall.core.figures import Resampling, rounded
from footfall.core.metrics import Float64
from footfall.core.sequences import Int64

_NORMAL = 1.959964  # of a two-sided interval of `bootstrap.LEVEL`
_MEAN_WEIGHT_ERRORS = 4.0


@dataclass(frozen=True)
class Log:
    """N logged positions of R slates, and what the target policy makes of them.

    Attributes:
        slate: (N,) number of the slate, 0 to R - 1; each has a row at least.
        position: (N,) from 1, each once a slate.
        reward: (N,) what came of it: 1 for a click, or money.
        propensity: (N,) chance that the logging policy put this item at this position; `exploration.explore` gives it.
        target: (N,) chance that the target puts it there; `exploration.Placements.of` gives it.
        covered: (N,) share of the target's chances at this position that fall on items which could have been logged there
            (`Placements.covered_by`); None where nobody knows, then only the mean weight can tell.
        owner: (R,) number of the user of a slate: slates of one user are alike and count as one when errors are drawn. None: all differ.

    Raises:
        ValueError: lengths differ, slates are not numbered from 0, or a number is out of bounds.
    """

    slate: Int64
    position: Int64
    reward: Float64
    propensity: Float64
    target: Float64
    covered: Float64 | None = None
    owner: Int64 | None = None

    def __post_init__(self) -> None:
        """Refuse what is no log."""
        columns = [self.slate, self.position, self.reward, self.propensity, self.target, *([] if self.covered is None else [self.covered])]
        if len({len(column) for column in columns}) != 1 or not len(self.slate):
            raise ValueError(f"a log has one row at least, and columns of one length; found {[len(column) for column in columns]}")
        if self.slate.min() < 0 or not np.bincount(self.slate).all() or (self.owner is not None and len(self.owner) != self.slates):
            raise ValueError("slates are numbered from 0 on, each with a row, and with an owner where there are any")
        places = self.slate * (int(self.position.max()) + 1) + self.position
        if self.position.min() < 1 or len(np.unique(places)) != len(places):
            raise ValueError("positions count from 1, each once a slate")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all() or not ((self.target >= 0) & (self.target <= 1 + 1e-9)).all():
            raise ValueError("what was logged has a propensity above 0, to 1, and a target's chance from 0 to 1")
        if not np.isfinite(self.reward).all():
            raise ValueError("rewards are finite")

    @property
    def slates(self) -> int:
        """R."""
        return int(self.slate.max()) + 1


@dataclass(frozen=True)
class Terms:
    """On what terms an estimate is given.

    Attributes:
        clip: largest weight; None clips nothing.
        minimum_effective: fewer effective slates than that are not enough (Kish).
        minimum_outcomes: fewer effective rewarded rows than that are not enough: with 10 the error is already a third of the value.
        maximum_uncovered: largest share of the target that may fall where the logging policy never shows anything.
        resampling: how percentile intervals are drawn; None gives normal ones.
    """

    clip: float | None = None
    minimum_effective: float = 100.0
    minimum_outcomes: float = 10.0
    maximum_uncovered: float = 0.001
    resampling: Resampling | None = None


@dataclass(frozen=True)
class Estimate:
    """What the target policy would bring a slate, or why nobody can say.

    Attributes:
        estimator: "ips", "snips" or "doubly_robust".
        effective_slates: as many slates of the target itself would tell as much: Kish's (sum w)^2 / sum w^2 over rows, as a share of the slates.
        effective_outcomes: the same over rewarded rows: as many outcomes of the target itself.
        mean_weight: before clipping; 1 but for chance, where propensities are right and everything is covered.
        lost: share of the weight that clipping took.
        reason: why there is no value, or None.
        value: reward a slate; None when there is not enough data.
        low, high: of the 95% interval.
        standard_error: of the value.
        gain: what the target brings a slate more than what was logged, with the interval of the paired difference: the same slates on both sides.
    """

    estimator: str
    effective_slates: float
    effective_outcomes: float
    mean_weight: float
    lost: float
    reason: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    gain: Interval | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, six digits."""
        gain = None if self.gain is None else {name: rounded(value) for name, value in self.gain._asdict().items()}
        return {name: rounded(value) if isinstance(value, float) else value for name, value in asdict(self).items()} | {"gain": gain}


def ips(log: Log, terms: Terms | None = None) -> Estimate:
    """Horvitz and Thompson's estimate of the target's reward a slate."""
    terms = terms or Terms()
    return _estimate("ips", log, terms, _by_slate(log, _weights(log, terms) * log.reward))


def snips(log: Log, terms: Terms | None = None) -> Estimate:
    """The self-normalised estimate: at each position the weighted mean reward, times the positions a slate; its error by the delta method."""
    terms = terms or Terms()
    return _estimate("snips", log, terms, _snips_parts(log, _weights(log, terms)))


def doubly_robust(log: Log, predicted: Float64, expected: Float64, terms: Terms | None = None) -> Estimate:
    """The click model's expectation under the target, corrected by its weighted errors.

    Args:
        log: N rows.
        predicted: (N,) reward that a model, fitted without the row's slate (`click_rates.cross_fitted`), expects of the logged item there.
        expected: (N,) that it expects of the target at that position: the sum over items of the target's chance times the prediction.
        terms: on which it is given.

    Raises:
        ValueError: predictions do not fit the log, or are not finite.
    """
    if not predicted.shape == expected.shape == log.reward.shape or not np.isfinite(predicted + expected).all():
        raise ValueError(f"a finite prediction a row is needed, found {predicted.shape} and {expected.shape} for {log.reward.shape}")
    terms = terms or Terms()
    return _estimate("doubly_robust", log, terms, _by_slate(log, expected + _weights(log, terms) * (log.reward - predicted)))


def _weights(log: Log, terms: Terms) -> Float64:
    return np.asarray(np.minimum(log.target / log.propensity, np.inf if terms.clip is None else terms.clip))


def _by_slate(log: Log, rows: Float64) -> Float64:
    return np.asarray(np.bincount(log.slate, weights=rows, minlength=log.slates), np.float64)


def _snips_parts(log: Log, weights: Float64) -> Float64:
    """(R,) whose mean is the estimate and whose spread is its error: the estimate plus each slate's influence on it."""
    mass = np.bincount(log.position, weights=weights)
    safe = np.where(mass > 0, mass, 1.0)
    means = np.bincount(log.position, weights=weights * log.reward) / safe
    share = np.bincount(log.position) / log.slates
    influence = share[log.position] * log.slates * weights * (log.reward - means[log.position]) / safe[log.position]
    return float(share @ means) + _by_slate(log, influence)


def _estimate(estimator: str, log: Log, terms: Terms, parts: Float64) -> Estimate:
    """An estimate from what each slate says of it, or the reason why not."""
    whole, weights = log.target / log.propensity, _weights(log, terms)
    effective = _kish(weights) * log.slates / len(weights)
    outcomes = _kish((weights * log.reward)[log.reward != 0])
    lost = 1 - float(weights.sum() / whole.sum()) if whole.any() else 0.0
    owned = _by_owner(log, parts)
    reason = _not_enough(log, terms, effective, outcomes, len(owned))
    found = Estimate(estimator, effective, outcomes, float(whole.mean()), lost, reason)
    if reason is not None:
        return found
    value, low, high = _interval(owned, terms.resampling)
    more = owned - _by_owner(log, _by_slate(log, log.reward))
    return replace(found, value=value, low=low, high=high, standard_error=_error(owned), gain=_interval(more, terms.resampling))


def _by_owner(log: Log, parts: Float64) -> Float64:
    """(G,) whose mean is the mean of the slates' parts, and which are independent of each other."""
    if log.owner is None:
        return parts
    names, number = np.unique(log.owner, return_inverse=True)
    value = float(parts.mean())
    return np.asarray(value + np.bincount(number, weights=parts - value) * (len(names) / len(parts)), np.float64)


def _interval(owned: Float64, resampling: Resampling | None) -> Interval:
    if resampling is not None:
        return interval(owned, resampling.draws, resampling.seed)
    value, reach = float(owned.mean()), _NORMAL * _error(owned)
    return Interval(value, value - reach, value + reach)


def _error(owned: Float64) -> float:
    """Standard error of the mean."""
    return float(owned.std(ddof=1) / np.sqrt(len(owned)))


def _kish(weights: Float64) -> float:
    """Kish's effective sample size; 0 for none."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0


def _not_enough(log: Log, terms: Terms, effective: float, outcomes: float, owners: int) -> str | None:
    """Why nobody can say what the target would bring, or None."""
    uncovered = 0.0 if log.covered is None else 1 - float(log.covered.mean())
    if uncovered > terms.maximum_uncovered:
        return f"support missing: {uncovered:.1%} of what the target shows could never have been logged there"
    if effective < terms.minimum_effective:
        return f"not enough data: the log is worth {effective:.0f} slates of the target, {terms.minimum_effective:.0f} are needed"
    if outcomes < terms.minimum_outcomes:
        return f"not enough data: the log is worth {outcomes:.0f} rewarded positions of the target, {terms.minimum_outcomes:.0f} are needed"
    if owners < 2:
        return "not enough data: all slates are one user's"
    weights = log.target / log.propensity
    means = _by_owner(log, _by_slate(log, weights - 1))
    mean = float(means.mean())
    if abs(mean) > _MEAN_WEIGHT_ERRORS * _error(means) + 1e-9:
        what = "support missing: the target shows what was never logged" if mean < 0 else "propensities cannot be right"
        return f"{what} (mean weight {weights.mean():.3f}, where 1 is expected)"
    return None
